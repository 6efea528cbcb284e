package main

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/signal"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"time"
)

// Bounds no flag can lift: a load generator that is forgotten ends by itself.
const (
	maxRequests = 5_000_000
	maxDuration = 2 * time.Hour
)

// answer is one request's end: version "error" and code 0 when there was no answer at all.
type answer struct {
	at      time.Time
	took    time.Duration
	version string
	code    int
	err     error
}

type generator struct {
	client      *http.Client
	url, host   string
	header      http.Header
	n           int64
	rps         float64
	begin       time.Time
	next        atomic.Int64
	answers     chan answer
	concurrency int
	grpc        bool
}

func load(args []string) error {
	flags := flag.NewFlagSet("load", flag.ExitOnError)
	url := flags.String("url", "", "target")
	host := flags.String("host", "", "Host header")
	grpc := flags.Bool("grpc", false, "send gRPC calls of the method that is the URL's path, over HTTP/2 without TLS")
	header := flags.String("header", "", "one more header, `name: value`")
	n := flags.Int64("n", 0, "requests to send (default: as many as -duration allows)")
	duration := flags.Duration("duration", 0, "time to send for (default: until -n are sent)")
	concurrency := flags.Int("c", 8, "requests under way at once, at most")
	rps := flags.Float64("rps", 0, "requests per second (default: as fast as answers come)")
	timeout := flags.Duration("timeout", 15*time.Second, "of one request")
	trace := flags.String("trace", "", "file that gets a line per answer: unix_ns version code")
	if err := flags.Parse(args); err != nil {
		return err
	}
	if *url == "" || (*n <= 0 && *duration <= 0) {
		return errors.New("load: -url and one of -n, -duration are needed")
	}
	if *n <= 0 {
		*n = maxRequests
	}
	if *duration <= 0 {
		*duration = maxDuration
	}
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM, syscall.SIGINT)
	defer stop()
	ctx, cancel := context.WithTimeout(ctx, min(*duration, maxDuration))
	defer cancel()
	protocols := new(http.Protocols)
	protocols.SetHTTP1(!*grpc)
	protocols.SetUnencryptedHTTP2(*grpc)
	g := &generator{
		client: &http.Client{Timeout: *timeout, Transport: &http.Transport{Protocols: protocols,
			MaxIdleConnsPerHost: *concurrency, MaxConnsPerHost: *concurrency, DisableCompression: true}},
		url: *url, host: *host, header: http.Header{}, n: min(*n, maxRequests), rps: *rps, begin: time.Now(),
		answers: make(chan answer, 1024), concurrency: *concurrency, grpc: *grpc,
	}
	if name, value, found := strings.Cut(*header, ":"); found {
		g.header.Set(strings.TrimSpace(name), strings.TrimSpace(value))
	}
	return g.run(ctx, *trace)
}

// run sends until n requests are sent or ctx ends; requests under way are always waited for and counted.
func (g *generator) run(ctx context.Context, trace string) error {
	out := io.Discard
	if trace != "" {
		file, err := os.Create(trace)
		if err != nil {
			return err
		}
		defer file.Close()
		out = file
	}
	var workers sync.WaitGroup
	for range g.concurrency {
		workers.Go(func() { g.work(ctx) })
	}
	go func() { workers.Wait(); close(g.answers) }()
	return json.NewEncoder(os.Stdout).Encode(summarize(g.answers, out, g.begin))
}

func (g *generator) work(ctx context.Context) {
	for {
		i := g.next.Add(1) - 1
		if i >= g.n {
			return
		}
		if g.rps > 0 {
			due := g.begin.Add(time.Duration(float64(i) / g.rps * float64(time.Second)))
			select {
			case <-ctx.Done():
			case <-time.After(time.Until(due)):
			}
		}
		if ctx.Err() != nil {
			return
		}
		g.answers <- g.send()
	}
}

func (g *generator) send() answer {
	if g.grpc {
		return g.call()
	}
	begin := time.Now()
	request, err := http.NewRequest(http.MethodGet, g.url, nil)
	if err != nil {
		return answer{begin, 0, "error", 0, err}
	}
	request.Host, request.Header = g.host, g.header.Clone()
	response, err := g.client.Do(request)
	if err == nil {
		_, err = io.Copy(io.Discard, response.Body)
		response.Body.Close()
	}
	now := time.Now()
	if err != nil {
		return answer{now, now.Sub(begin), "error", 0, err}
	}
	version := response.Header.Get("X-Version")
	if version == "" {
		version = "none"
	}
	return answer{now, now.Sub(begin), version, response.StatusCode, nil}
}

// summarize writes the trace while answers come (a reader sees lines at most 100 ms late) and counts them.
func summarize(answers <-chan answer, trace io.Writer, begin time.Time) map[string]any {
	lines := bufio.NewWriter(trace)
	defer lines.Flush()
	flush := time.NewTicker(100 * time.Millisecond)
	defer flush.Stop()
	versions, codes, both, faults := map[string]int{}, map[string]int{}, map[string]int{}, map[string]int{}
	failed := 0
	took := []time.Duration{}
	for {
		select {
		case <-flush.C:
			lines.Flush()
		case a, more := <-answers:
			if !more {
				return map[string]any{
					"n": len(took), "failed": failed, "seconds": time.Since(begin).Seconds(), "versions": versions,
					"codes": codes, "by": both, "faults": faults,
					"p50_ms": quantile(took, 0.5), "p95_ms": quantile(took, 0.95), "p99_ms": quantile(took, 0.99),
				}
			}
			fmt.Fprintf(lines, "%d %s %d\n", a.at.UnixNano(), a.version, a.code)
			code := strconv.Itoa(a.code)
			versions[a.version]++
			codes[code]++
			both[a.version+"/"+code]++
			took = append(took, a.took)
			if a.code == 0 || a.code >= 500 || a.code >= 400 && a.version == "none" {
				failed++
			}
			if a.err != nil && (len(faults) < 20 || faults[a.err.Error()] > 0) {
				faults[a.err.Error()]++
			}
		}
	}
}

func quantile(took []time.Duration, q float64) float64 {
	if len(took) == 0 {
		return 0
	}
	slices.Sort(took)
	return float64(took[int(q*float64(len(took)-1))].Microseconds()) / 1000
}
