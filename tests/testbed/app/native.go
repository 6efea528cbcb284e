package main

import (
	"encoding/binary"
	"maps"
	"math"
	"net/http"
	"slices"
	"strconv"
)

// native is a native histogram, of exponential buckets: bucket i ends at 2^(i/2^scale) seconds. It can only be told in
// the protobuf form of a scrape, which is written here by hand: fields of io.prometheus.client.MetricFamily.
type native struct {
	scale   int
	buckets map[int]uint64
}

func newNative(scale string) (*native, error) {
	if scale == "" {
		return nil, nil
	}
	number, err := strconv.Atoi(scale)
	return &native{scale: number, buckets: map[int]uint64{}}, err
}

func (n *native) observe(seconds float64) {
	n.buckets[int(math.Ceil(math.Log2(seconds)*math.Exp2(float64(n.scale))))]++
}

const (
	counterType, histogramType = 0, 4
	zeroThreshold              = 0x1p-128 // what Go's client takes for nothing
)

// exposeNative tells requests and their durations, without classic buckets. The caller holds the lock.
func (m *metrics) exposeNative(w http.ResponseWriter) {
	version := label("version", m.version)
	counters := family("http_requests_total", counterType)
	for _, code := range slices.Sorted(maps.Keys(m.codes)) {
		counter := field(nil, 3, double(nil, 1, float64(m.codes[code])))
		counters = field(counters, 4, slices.Concat(label("code", strconv.Itoa(code)), version, counter))
	}
	histogram := double(number(nil, 1, m.count), 2, m.sum)
	histogram = number(histogram, 5, zigzag(m.native.scale))
	histogram = number(double(histogram, 6, zeroThreshold), 7, 0)
	var deltas []byte
	after, before := 0, uint64(0)
	for _, bucket := range slices.Sorted(maps.Keys(m.native.buckets)) {
		count := m.native.buckets[bucket]
		histogram = field(histogram, 12, number(number(nil, 1, zigzag(bucket-after)), 2, 1))
		deltas = binary.AppendUvarint(deltas, zigzag(int(count)-int(before)))
		after, before = bucket+1, count
	}
	if len(deltas) == 0 {
		histogram = field(histogram, 12, nil) // a native histogram, though nothing is counted yet
	}
	histogram = field(histogram, 13, deltas)
	durations := field(family("http_request_duration_seconds", histogramType), 4, append(version, field(nil, 7, histogram)...))
	w.Header().Set("Content-Type", "application/vnd.google.protobuf; proto=io.prometheus.client.MetricFamily; encoding=delimited")
	for _, one := range [][]byte{counters, durations} {
		w.Write(binary.AppendUvarint(nil, uint64(len(one))))
		w.Write(one)
	}
}

func family(name string, kind uint64) []byte { return number(field(nil, 1, []byte(name)), 3, kind) }

func label(name, value string) []byte {
	return field(nil, 1, field(field(nil, 1, []byte(name)), 2, []byte(value)))
}

func number(to []byte, id, value uint64) []byte {
	return binary.AppendUvarint(binary.AppendUvarint(to, id<<3), value)
}

func double(to []byte, id uint64, value float64) []byte {
	return binary.LittleEndian.AppendUint64(binary.AppendUvarint(to, id<<3|1), math.Float64bits(value))
}

func field(to []byte, id uint64, value []byte) []byte {
	to = binary.AppendUvarint(to, id<<3|2)
	return append(binary.AppendUvarint(to, uint64(len(value))), value...)
}

func zigzag(value int) uint64 { return uint64(value<<1) ^ uint64(value>>63) }
