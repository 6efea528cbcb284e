package main

import (
	"bytes"
	"os"
	"strconv"
	"sync/atomic"
	"time"
)

const (
	leakEvery = 100 * time.Millisecond
	leakMost  = 256 << 20 // bytes after which the leak stops: a test must not take the machine with it
	page      = 4096
)

// leak holds memory that nobody gives back, more of it all the time.
type leak struct {
	rate atomic.Int64 // bytes a second
	held [][]byte
	size int64
}

func (l *leak) serve() {
	for range time.Tick(leakEvery) {
		l.grow(l.rate.Load() * int64(leakEvery) / int64(time.Second))
	}
}

func (l *leak) grow(size int64) {
	if size <= 0 || l.size+size > leakMost {
		return
	}
	taken := make([]byte, size)
	for i := 0; i < len(taken); i += page {
		taken[i] = 1 // memory is resident only once it was written to
	}
	l.held, l.size = append(l.held, taken), l.size+size
}

// resident returns the bytes of memory this process has in RAM, 0 when the kernel does not say.
func resident() int64 {
	text, err := os.ReadFile("/proc/self/statm")
	fields := bytes.Fields(text)
	if err != nil || len(fields) < 2 {
		return 0
	}
	pages, err := strconv.ParseInt(string(fields[1]), 10, 64)
	if err != nil {
		return 0
	}
	return pages * int64(os.Getpagesize())
}
