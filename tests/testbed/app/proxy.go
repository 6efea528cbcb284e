package main

import (
	"bytes"
	"context"
	"encoding/json"
	"flag"
	"fmt"
	"io"
	"net/http"
	"net/http/httputil"
	"net/url"
	"strings"
	"sync"
	"sync/atomic"
	"time"
)

// fault is what the proxy does to the answers of queries that contain `Match` (all of them when it is empty).
type fault struct {
	Mode  string        `json:"mode"`
	Match string        `json:"match"`
	Delay time.Duration `json:"delay"`
}

// faults by name; the zero name passes every answer on as it is.
var faults = map[string]bool{"": true, "slow": true, "empty": true, "nan": true, "error": true, "html": true, "reset": true, "warning": true}

// prometheusProxy stands before a Prometheus, counts what it is asked and spoils the answers on demand.
type prometheusProxy struct {
	upstream *httputil.ReverseProxy
	queries  atomic.Int64
	mu       sync.Mutex
	fault    fault
}

func proxy(args []string) error {
	flags := flag.NewFlagSet("proxy", flag.ExitOnError)
	addr := flags.String("addr", env("POD_IP", "")+":"+env("PORT", "9090"), "listen address")
	upstream := flags.String("upstream", env("UPSTREAM", ""), "URL of the Prometheus behind")
	if err := flags.Parse(args); err != nil {
		return err
	}
	target, err := url.Parse(*upstream)
	if err != nil || target.Host == "" {
		return fmt.Errorf("proxy: -upstream %q is no URL", *upstream)
	}
	p := &prometheusProxy{}
	p.upstream = &httputil.ReverseProxy{
		Rewrite:        func(r *httputil.ProxyRequest) { r.SetURL(target) },
		ModifyResponse: p.spoil,
	}
	mux := http.NewServeMux()
	mux.HandleFunc("/-/set", p.set)
	mux.HandleFunc("/-/stats", func(w http.ResponseWriter, _ *http.Request) {
		json.NewEncoder(w).Encode(map[string]any{"queries": p.queries.Load(), "unix_ns": time.Now().UnixNano()})
	})
	mux.HandleFunc("/", p.serve)
	return listen(*addr, mux)
}

// set changes the fault at once: /-/set?mode=slow&delay=30s&match=http_requests_total; no mode heals.
func (p *prometheusProxy) set(w http.ResponseWriter, r *http.Request) {
	query := r.URL.Query()
	wish := fault{Mode: query.Get("mode"), Match: query.Get("match"), Delay: 30 * time.Second}
	if text := query.Get("delay"); text != "" {
		delay, err := time.ParseDuration(text)
		if err != nil {
			http.Error(w, err.Error(), http.StatusBadRequest)
			return
		}
		wish.Delay = delay
	}
	if !faults[wish.Mode] {
		http.Error(w, fmt.Sprintf("no fault %q", wish.Mode), http.StatusBadRequest)
		return
	}
	p.mu.Lock()
	p.fault = wish
	p.mu.Unlock()
	json.NewEncoder(w).Encode(map[string]any{"mode": wish.Mode, "unix_ns": time.Now().UnixNano()})
}

type faultKey struct{}

func (p *prometheusProxy) serve(w http.ResponseWriter, r *http.Request) {
	body, err := io.ReadAll(io.LimitReader(r.Body, 1<<20))
	if err != nil {
		http.Error(w, err.Error(), http.StatusBadRequest)
		return
	}
	r.Body = io.NopCloser(bytes.NewReader(body))
	if strings.Contains(r.URL.Path, "/query") {
		p.queries.Add(1)
	}
	switch f := p.faultOf(r, body); f.Mode {
	case "slow":
		select {
		case <-r.Context().Done():
			return
		case <-time.After(f.Delay):
		}
		p.upstream.ServeHTTP(w, r)
	case "empty":
		reply(w, http.StatusOK, "application/json", `{"status":"success","data":{"resultType":"vector","result":[]}}`)
	case "error":
		reply(w, http.StatusInternalServerError, "application/json", `{"status":"error","errorType":"internal","error":"made to fail"}`)
	case "html":
		reply(w, http.StatusOK, "text/html", "<!doctype html><title>Sign in</title><p>Please sign in.")
	case "reset":
		if conn, _, err := http.NewResponseController(w).Hijack(); err == nil {
			conn.Close()
		}
	default:
		p.upstream.ServeHTTP(w, r)
	}
}

// faultOf is the fault that holds for a request; a query may come in the URL or in a form.
func (p *prometheusProxy) faultOf(r *http.Request, body []byte) fault {
	p.mu.Lock()
	defer p.mu.Unlock()
	form, _ := url.ParseQuery(string(body))
	if p.fault.Match != "" && !strings.Contains(r.URL.Query().Get("query")+form.Get("query"), p.fault.Match) {
		return fault{}
	}
	if mode := p.fault.Mode; mode == "nan" || mode == "warning" {
		*r = *r.WithContext(context.WithValue(r.Context(), faultKey{}, mode))
		r.Header.Del("Accept-Encoding") // the answer is going to be read
	}
	return p.fault
}

// spoil changes what Prometheus answered, for the faults that need its answer.
func (p *prometheusProxy) spoil(response *http.Response) error {
	mode, _ := response.Request.Context().Value(faultKey{}).(string)
	if mode == "" {
		return nil
	}
	var document map[string]any
	if err := json.NewDecoder(response.Body).Decode(&document); err != nil {
		return err
	}
	response.Body.Close()
	if mode == "warning" {
		document["warnings"] = []string{"made to warn: the answer may be partial"}
	} else {
		valuesToNaN(document["data"])
	}
	spoiled, err := json.Marshal(document)
	if err != nil {
		return err
	}
	response.Body = io.NopCloser(bytes.NewReader(spoiled))
	response.ContentLength = int64(len(spoiled))
	response.Header.Set("Content-Length", fmt.Sprint(len(spoiled)))
	return nil
}

func valuesToNaN(data any) {
	fields, _ := data.(map[string]any)
	series, _ := fields["result"].([]any)
	for _, one := range series {
		labelled, _ := one.(map[string]any)
		if sample, found := labelled["value"].([]any); found {
			sample[1] = "NaN"
		}
		samples, _ := labelled["values"].([]any)
		for _, sample := range samples {
			sample.([]any)[1] = "NaN"
		}
	}
}

func reply(w http.ResponseWriter, code int, kind, body string) {
	w.Header().Set("Content-Type", kind)
	w.WriteHeader(code)
	io.WriteString(w, body)
}
