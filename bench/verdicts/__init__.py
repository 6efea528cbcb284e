"""The rules of SparkRelease and of other tools on the same made-up releases: who goes back for nothing, who late."""
