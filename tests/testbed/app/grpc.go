package main

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strconv"
	"strings"
	"time"
)

// gRPC as it is on the wire, for unary calls of `Buy(BuyRequest{}) returns (BuyReply{string version = 1})`: a message
// each way behind a prefix of five bytes, and the call's status in the trailers of an answer that is always 200.
const (
	grpcType   = "application/grpc"
	statusName = "Grpc-Status"

	grpcOK       = 0
	grpcInternal = 13

	prefix       = 5    // one byte whether it is compressed, four its length
	versionField = 0x0a // field 1, length-delimited
)

// grpcCodes are the statuses by number, as servers spell them in their metrics, and the HTTP status that
// google/rpc/code.proto gives each: the trace has one scale for all answers.
var grpcCodes = []struct {
	name string
	http int
}{
	{"OK", 200}, {"Canceled", 499}, {"Unknown", 500}, {"InvalidArgument", 400}, {"DeadlineExceeded", 504},
	{"NotFound", 404}, {"AlreadyExists", 409}, {"PermissionDenied", 403}, {"ResourceExhausted", 429},
	{"FailedPrecondition", 400}, {"Aborted", 409}, {"OutOfRange", 400}, {"Unimplemented", 501}, {"Internal", 500},
	{"Unavailable", 503}, {"DataLoss", 500}, {"Unauthenticated", 401},
}

// unary answers a gRPC call of whatever method, as answer does a request of whatever path.
func (b *backend) unary(w http.ResponseWriter, r *http.Request) {
	failing := b.spoil()
	body, err := io.ReadAll(r.Body)
	if err == nil {
		_, err = unframed(body)
	}
	b.identify(w.Header())
	w.Header().Set("Content-Type", grpcType)
	w.Header().Set("Trailer", statusName)
	status := grpcOK
	if err != nil || failing {
		status = grpcInternal
	}
	w.WriteHeader(http.StatusOK)
	if status == grpcOK {
		w.Write(framed(buyReply(b.version)))
	}
	w.Header().Set(statusName, strconv.Itoa(status))
	service, method, _ := strings.Cut(strings.TrimPrefix(r.URL.Path, "/"), "/")
	b.metrics.handled(call{service, method, grpcCodes[status].name})
}

// isCall tells a gRPC call from other requests.
func isCall(r *http.Request) bool {
	return r.ProtoMajor == 2 && strings.HasPrefix(r.Header.Get("Content-Type"), grpcType)
}

// call sends a gRPC call to the method the URL names; anything that is no complete answer counts as none.
func (g *generator) call() answer {
	begin := time.Now()
	version, code, err := g.called()
	now := time.Now()
	if err != nil {
		return answer{now, now.Sub(begin), "error", 0, err}
	}
	return answer{now, now.Sub(begin), version, code, nil}
}

func (g *generator) called() (string, int, error) {
	request, err := http.NewRequest(http.MethodPost, g.url, bytes.NewReader(framed(nil)))
	if err != nil {
		return "", 0, err
	}
	request.Host, request.Header = g.host, g.header.Clone()
	request.Header.Set("Content-Type", grpcType)
	request.Header.Set("TE", "trailers")
	response, err := g.client.Do(request)
	if err != nil {
		return "", 0, err
	}
	defer response.Body.Close()
	body, err := io.ReadAll(response.Body) // the trailers are there once it is read
	if err != nil {
		return "", 0, err
	}
	version := response.Header.Get("X-Version")
	if version == "" {
		version = "none"
	}
	if response.StatusCode != http.StatusOK {
		return version, response.StatusCode, nil
	}
	text := response.Trailer.Get(statusName)
	if text == "" {
		text = response.Header.Get(statusName) // an answer without a message has its trailers for headers
	}
	status, err := strconv.Atoi(text)
	if err != nil || status < 0 || status >= len(grpcCodes) {
		return "", 0, fmt.Errorf("%s %q", statusName, text)
	}
	if status == grpcOK {
		version, err = replied(body)
	}
	return version, grpcCodes[status].http, err
}

// framed is a message with its prefix, not compressed.
func framed(message []byte) []byte {
	made := make([]byte, prefix, prefix+len(message))
	binary.BigEndian.PutUint32(made[1:], uint32(len(message)))
	return append(made, message...)
}

// unframed is the only message of a body.
func unframed(body []byte) ([]byte, error) {
	if len(body) < prefix || body[0] != 0 || binary.BigEndian.Uint32(body[1:prefix]) != uint32(len(body)-prefix) {
		return nil, fmt.Errorf("no single message: %d bytes", len(body))
	}
	return body[prefix:], nil
}

// buyReply is a BuyReply.
func buyReply(version string) []byte {
	return append(binary.AppendUvarint([]byte{versionField}, uint64(len(version))), version...)
}

// replied is the version in a BuyReply.
func replied(body []byte) (string, error) {
	message, err := unframed(body)
	if err != nil {
		return "", err
	}
	if len(message) == 0 || message[0] != versionField {
		return "", errors.New("no BuyReply")
	}
	length, size := binary.Uvarint(message[1:])
	if size <= 0 || length != uint64(len(message)-1-size) {
		return "", errors.New("no BuyReply")
	}
	return string(message[1+size:]), nil
}
