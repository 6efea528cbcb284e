module sparkrelease.dev/testbed/app

go 1.26
