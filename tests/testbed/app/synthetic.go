package main

import (
	"encoding/json"
	"flag"
	"fmt"
	"math"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"sync"
	"time"
)

// behaviour of one Service as an operator would see it; what is unset in a change stays as it was.
type behaviour struct {
	Namespace string         `json:"namespace"`
	Service   string         `json:"service"`
	RPS       *float64       `json:"rps,omitempty"`
	Error     *float64       `json:"error,omitempty"`   // share of answers that are 500
	Latency   *time.Duration `json:"latency,omitempty"` // of every answer, nanoseconds
}

// counters of one Service, up to date at `since`; between changes they grow with the rate alone.
type counters struct {
	rps, failing float64
	latency      time.Duration
	since        time.Time
	good, bad    float64
	buckets      []float64
}

func (c *counters) advance(now time.Time) {
	answers := c.rps * now.Sub(c.since).Seconds()
	c.since = now
	c.bad += answers * c.failing
	c.good += answers * (1 - c.failing)
	for i, edge := range edges {
		if c.latency.Seconds() <= edge {
			c.buckets[i] += answers
		}
	}
}

// exporter speaks for many releases: counters by namespace and service, as if a gateway had counted them.
type exporter struct {
	mu        sync.Mutex
	histogram bool
	order     [][2]string // namespace, service: exposition in order of birth
	services  map[[2]string]*counters
}

func synthetic(args []string) error {
	flags := flag.NewFlagSet("synthetic", flag.ExitOnError)
	addr := flags.String("addr", env("POD_IP", "")+":"+env("PORT", "8080"), "listen address")
	releases := flags.Int("releases", 0, "releases to begin with: Services rel-0000-stable, rel-0000-canary, ...")
	namespaces := flags.Int("namespaces", 1, "spread them over this many namespaces, named <prefix>-0, ...")
	prefix := flags.String("prefix", "bench", "prefix of the namespaces")
	rps := flags.Float64("rps", 100, "requests per second of each Service to begin with")
	histogram := flags.Bool("histogram", false, "expose latency histograms too")
	if err := flags.Parse(args); err != nil {
		return err
	}
	e := &exporter{histogram: *histogram, services: map[[2]string]*counters{}}
	for i := range *releases {
		for _, role := range []string{"stable", "canary"} {
			namespace := fmt.Sprintf("%s-%d", *prefix, i%max(*namespaces, 1))
			e.change(behaviour{Namespace: namespace, Service: fmt.Sprintf("rel-%04d-%s", i, role), RPS: rps}, time.Now())
		}
	}
	mux := http.NewServeMux()
	mux.HandleFunc("/metrics", func(w http.ResponseWriter, _ *http.Request) { write(w, e.exposition(time.Now())) })
	mux.HandleFunc("/-/set", e.set)
	mux.HandleFunc("/readyz", func(http.ResponseWriter, *http.Request) {})
	return listen(*addr, mux)
}

func (e *exporter) change(wish behaviour, now time.Time) {
	e.mu.Lock()
	defer e.mu.Unlock()
	key := [2]string{wish.Namespace, wish.Service}
	c := e.services[key]
	if c == nil {
		c = &counters{since: now, latency: 10 * time.Millisecond, buckets: make([]float64, len(edges))}
		e.services[key] = c
		e.order = append(e.order, key)
	}
	c.advance(now)
	if wish.RPS != nil {
		c.rps = *wish.RPS
	}
	if wish.Error != nil {
		c.failing = *wish.Error
	}
	if wish.Latency != nil {
		c.latency = *wish.Latency
	}
}

// set takes one change as query (?namespace=n&service=s&error=0.5&rps=20&latency=300ms) or many as a JSON list of
// behaviours in the body, and answers with the moment they took effect.
func (e *exporter) set(w http.ResponseWriter, r *http.Request) {
	wishes := []behaviour{}
	var err error
	if r.Method == http.MethodPost {
		err = json.NewDecoder(r.Body).Decode(&wishes)
	} else {
		var one behaviour
		one, err = fromQuery(r.URL.Query())
		wishes = append(wishes, one)
	}
	for _, wish := range wishes {
		if wish.Namespace == "" || wish.Service == "" {
			err = fmt.Errorf("namespace and service are needed in %+v", wish)
		}
	}
	if err != nil {
		http.Error(w, err.Error(), http.StatusBadRequest)
		return
	}
	now := time.Now()
	for _, wish := range wishes {
		e.change(wish, now)
	}
	json.NewEncoder(w).Encode(map[string]any{"changed": len(wishes), "unix_ns": now.UnixNano()})
}

func fromQuery(query url.Values) (behaviour, error) {
	wish := behaviour{Namespace: query.Get("namespace"), Service: query.Get("service")}
	if text := query.Get("error"); text != "" {
		failing, err := share(text)
		if err != nil {
			return wish, err
		}
		wish.Error = &failing
	}
	if text := query.Get("rps"); text != "" {
		rps, err := strconv.ParseFloat(text, 64)
		if err != nil {
			return wish, err
		}
		wish.RPS = &rps
	}
	if text := query.Get("latency"); text != "" {
		latency, err := time.ParseDuration(text)
		if err != nil {
			return wish, err
		}
		wish.Latency = &latency
	}
	return wish, nil
}

func (e *exporter) exposition(now time.Time) string {
	var requests, latencies strings.Builder
	requests.WriteString("# TYPE http_requests_total counter\n")
	e.mu.Lock()
	defer e.mu.Unlock()
	for _, key := range e.order {
		c := e.services[key]
		c.advance(now)
		labels := fmt.Sprintf("namespace=%q,service=%q", key[0], key[1])
		if c.good >= 1 {
			fmt.Fprintf(&requests, "http_requests_total{%s,code=\"200\"} %.0f\n", labels, math.Floor(c.good))
		}
		if c.bad >= 1 {
			fmt.Fprintf(&requests, "http_requests_total{%s,code=\"500\"} %.0f\n", labels, math.Floor(c.bad))
		}
		if !e.histogram {
			continue
		}
		for i, edge := range edges {
			fmt.Fprintf(&latencies, "http_request_duration_seconds_bucket{%s,le=%q} %.0f\n", labels, text(edge), math.Floor(c.buckets[i]))
		}
		fmt.Fprintf(&latencies, "http_request_duration_seconds_bucket{%s,le=\"+Inf\"} %.0f\n", labels, math.Floor(c.good+c.bad))
	}
	return requests.String() + latencies.String()
}
