package main

import (
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"net/url"
	"os"
	"strconv"
	"strings"
	"sync/atomic"
	"time"
)

// backend answers every path, and every gRPC method, with its version and counts what it answered.
type backend struct {
	version, pod string
	errorPPM     atomic.Int64 // failed answers per million: 500, or Internal to a gRPC call
	driftPPM     atomic.Int64 // answers per million that say something else than stable's
	latency      atomic.Int64 // added to each answer, nanoseconds
	ready        atomic.Bool
	metrics      *metrics
	leak         leak
}

func serve(args []string) error {
	flags := flag.NewFlagSet("serve", flag.ExitOnError)
	addr := flags.String("addr", env("POD_IP", "")+":"+env("PORT", "8080"), "listen address")
	version := flags.String("version", env("VERSION", "v0"), "version to answer")
	pod := flags.String("pod", env("POD_NAME", ""), "pod name to answer")
	failures := flags.String("error", env("ERROR", "0"), "share of answers that are 500 (of gRPC calls: Internal), 0 to 1")
	drift := flags.String("drift", env("DRIFT", "0"), "share of answers that say something else than stable's, 0 to 1")
	latency := flags.String("latency", env("LATENCY", "0s"), "time added to each answer")
	leaking := flags.String("leak", env("LEAK", "0"), "bytes of memory a second that are taken and never given back")
	scale := flags.String("native-scale", env("NATIVE_SCALE", ""), "expose latencies as a native histogram of this scale alone")
	crashAfter := flags.String("crash-after", env("CRASH_AFTER", ""), "exit 1 after this time (default: never)")
	if err := flags.Parse(args); err != nil {
		return err
	}
	b := &backend{version: *version, pod: *pod, metrics: newMetrics(*version)}
	histogram, err := newNative(*scale)
	if err != nil {
		return err
	}
	b.metrics.native = histogram
	b.ready.Store(true)
	if err := b.change(url.Values{"error": {*failures}, "drift": {*drift}, "latency": {*latency}, "leak": {*leaking}}); err != nil {
		return err
	}
	go b.leak.serve()
	if *crashAfter != "" {
		after, err := time.ParseDuration(*crashAfter)
		if err != nil {
			return err
		}
		time.AfterFunc(after, func() { crash("crash-after " + after.String()) })
	}
	return listen(*addr, b.routes())
}

func (b *backend) routes() http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("/metrics", b.metrics.expose)
	mux.HandleFunc("/-/set", b.set)
	mux.HandleFunc("/readyz", func(w http.ResponseWriter, _ *http.Request) {
		if !b.ready.Load() {
			http.Error(w, "not ready", http.StatusServiceUnavailable)
		}
	})
	mux.HandleFunc("/ws", b.websocket)
	mux.HandleFunc("/stream", b.stream)
	mux.HandleFunc("/", b.answer)
	return mux
}

func (b *backend) answer(w http.ResponseWriter, r *http.Request) {
	if isCall(r) {
		b.unary(w, r)
		return
	}
	begin := time.Now()
	code := http.StatusOK
	if b.spoil() {
		code = http.StatusInternalServerError
	}
	if r.ContentLength != 0 {
		io.Copy(io.Discard, r.Body)
	}
	b.identify(w.Header())
	w.WriteHeader(code)
	io.WriteString(w, b.version+"\n")
	price := quote
	if ppm := b.driftPPM.Load(); ppm > 0 && rand.Int64N(1_000_000) < ppm {
		price = 1.1 * quote
	}
	b.metrics.result(price, quote, mirrored(r.Host))
	b.metrics.observe(code, time.Since(begin))
}

// spoil takes as long as an answer is told to take, and says whether this one is to fail.
func (b *backend) spoil() bool {
	if latency := b.latency.Load(); latency > 0 {
		time.Sleep(time.Duration(latency))
	}
	ppm := b.errorPPM.Load()
	return ppm > 0 && rand.Int64N(1_000_000) < ppm
}

// quote is what an answer says, unless it drifts.
const quote = 100.0

// mirrored tells a copy of a request by its host: Envoy appends -shadow to it.
func mirrored(host string) bool {
	name, _, _ := strings.Cut(host, ":")
	return strings.HasSuffix(name, "-shadow")
}

// stream writes a line every 200 ms until the client leaves or `for` (default 1m) is over.
func (b *backend) stream(w http.ResponseWriter, r *http.Request) {
	length, err := time.ParseDuration(r.URL.Query().Get("for"))
	if err != nil {
		length = time.Minute
	}
	b.metrics.streams.Add(1)
	defer b.metrics.streams.Add(-1)
	b.identify(w.Header())
	tick := time.NewTicker(200 * time.Millisecond)
	defer tick.Stop()
	for end := time.Now().Add(length); time.Now().Before(end); {
		if _, err := io.WriteString(w, b.version+"\n"); err != nil {
			return
		}
		http.NewResponseController(w).Flush()
		select {
		case <-r.Context().Done():
			return
		case <-tick.C:
		}
	}
}

func (b *backend) identify(header http.Header) {
	header.Set("X-Version", b.version)
	header.Set("X-Pod", b.pod)
}

// set changes the behaviour at once: /-/set?error=0.05&drift=0.1&latency=250ms&leak=1048576&ready=false, or ?crash=1.
func (b *backend) set(w http.ResponseWriter, r *http.Request) {
	query := r.URL.Query()
	if query.Get("crash") != "" {
		time.AfterFunc(10*time.Millisecond, func() { crash("asked to") })
	}
	if err := b.change(query); err != nil {
		http.Error(w, err.Error(), http.StatusBadRequest)
		return
	}
	json.NewEncoder(w).Encode(map[string]any{
		"error": float64(b.errorPPM.Load()) / 1e6, "drift": float64(b.driftPPM.Load()) / 1e6, "latency": time.Duration(b.latency.Load()).String(),
		"leak": b.leak.rate.Load(), "ready": b.ready.Load(), "unix_ns": time.Now().UnixNano(),
	})
}

func (b *backend) change(wish url.Values) error {
	if text := wish.Get("error"); text != "" {
		share, err := share(text)
		if err != nil {
			return err
		}
		b.errorPPM.Store(int64(share*1e6 + 0.5))
	}
	if text := wish.Get("drift"); text != "" {
		share, err := share(text)
		if err != nil {
			return err
		}
		b.driftPPM.Store(int64(share*1e6 + 0.5))
	}
	if text := wish.Get("latency"); text != "" {
		latency, err := time.ParseDuration(text)
		if err != nil {
			return err
		}
		b.latency.Store(int64(latency))
	}
	if text := wish.Get("leak"); text != "" {
		rate, err := strconv.ParseInt(text, 10, 64)
		if err != nil || rate < 0 {
			return errors.New("leak: bytes a second, not " + strconv.Quote(text))
		}
		b.leak.rate.Store(rate)
	}
	if text := wish.Get("ready"); text != "" {
		ready, err := strconv.ParseBool(text)
		if err != nil {
			return err
		}
		b.ready.Store(ready)
	}
	return nil
}

func share(text string) (float64, error) {
	value, err := strconv.ParseFloat(text, 64)
	if err != nil || !(value >= 0 && value <= 1) {
		return 0, errors.New("error, drift: a number from 0 to 1, not " + strconv.Quote(text))
	}
	return value, nil
}

func crash(why string) {
	fmt.Fprintln(os.Stderr, "crash:", why)
	os.Exit(1)
}
