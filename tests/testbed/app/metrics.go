package main

import (
	"fmt"
	"io"
	"maps"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"time"
)

// edges of every latency histogram, in seconds; 0.2 is the one SLOs are usually set at.
var edges = []float64{0.005, 0.01, 0.025, 0.05, 0.1, 0.2, 0.5, 1, 2.5, 5, 10}

// metrics of one backend, exposed in Prometheus' text format; those of one with a native histogram as protobuf. A series
// is born with its first observation.
type metrics struct {
	version string
	streams atomic.Int64 // open WebSockets and streams
	mu      sync.Mutex
	codes   map[int]uint64
	calls   map[call]uint64
	buckets []uint64
	sum     float64
	count   uint64
	results results
	native  *native
}

// call is a kind of gRPC call: its method, and how it ended.
type call struct{ service, method, code string }

// results are what the answers said, and of copies of other versions' requests whether the other one said the same.
type results struct {
	value           float64
	same, different uint64
}

func newMetrics(version string) *metrics {
	return &metrics{version: version, codes: map[int]uint64{}, calls: map[call]uint64{}, buckets: make([]uint64, len(edges))}
}

func (m *metrics) observe(code int, took time.Duration) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.codes[code]++
	for i, edge := range edges {
		if took.Seconds() <= edge {
			m.buckets[i]++
		}
	}
	m.sum += took.Seconds()
	m.count++
	if m.native != nil {
		m.native.observe(took.Seconds())
	}
}

// handled counts a gRPC call.
func (m *metrics) handled(one call) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.calls[one]++
}

// result notes what one answer said; a copy's is compared with what the version that serves would have said.
func (m *metrics) result(value, expected float64, isCopy bool) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.results.value += value
	switch {
	case isCopy && value == expected:
		m.results.same++
	case isCopy:
		m.results.different++
	}
}

func (m *metrics) expose(w http.ResponseWriter, _ *http.Request) {
	if m.native != nil {
		m.mu.Lock()
		defer m.mu.Unlock()
		m.exposeNative(w)
		return
	}
	var out strings.Builder
	m.mu.Lock()
	out.WriteString("# TYPE http_requests_total counter\n")
	for _, code := range slices.Sorted(maps.Keys(m.codes)) {
		fmt.Fprintf(&out, "http_requests_total{code=\"%d\",version=%q} %d\n", code, m.version, m.codes[code])
	}
	out.WriteString("# TYPE grpc_server_handled_total counter\n")
	for one, count := range m.calls {
		fmt.Fprintf(&out, "grpc_server_handled_total{grpc_type=\"unary\",grpc_service=%q,grpc_method=%q,grpc_code=%q,version=%q} %d\n",
			one.service, one.method, one.code, m.version, count)
	}
	out.WriteString("# TYPE http_request_duration_seconds histogram\n")
	for i, edge := range edges {
		fmt.Fprintf(&out, "http_request_duration_seconds_bucket{version=%q,le=%q} %d\n", m.version, text(edge), m.buckets[i])
	}
	fmt.Fprintf(&out, "http_request_duration_seconds_bucket{version=%q,le=\"+Inf\"} %d\n", m.version, m.count)
	fmt.Fprintf(&out, "http_request_duration_seconds_sum{version=%q} %g\n", m.version, m.sum)
	fmt.Fprintf(&out, "http_request_duration_seconds_count{version=%q} %d\n", m.version, m.count)
	fmt.Fprintf(&out, "# TYPE quote_price summary\nquote_price_sum %g\nquote_price_count %d\n", m.results.value, m.count)
	out.WriteString("# TYPE shadow_results_total counter\n")
	fmt.Fprintf(&out, "shadow_results_total{outcome=\"same\"} %d\n", m.results.same)
	fmt.Fprintf(&out, "shadow_results_total{outcome=\"different\"} %d\n", m.results.different)
	m.mu.Unlock()
	fmt.Fprintf(&out, "# TYPE http_open_streams gauge\nhttp_open_streams{version=%q} %d\n", m.version, m.streams.Load())
	fmt.Fprintf(&out, "# TYPE process_resident_memory_bytes gauge\nprocess_resident_memory_bytes %d\n", resident())
	write(w, out.String())
}

func write(w http.ResponseWriter, exposition string) {
	w.Header().Set("Content-Type", "text/plain; version=0.0.4")
	io.WriteString(w, exposition)
}

func text(edge float64) string { return strconv.FormatFloat(edge, 'g', -1, 64) }
