package main

import (
	"bufio"
	"crypto/sha1"
	"encoding/base64"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
)

const (
	websocketGUID = "258EAFA5-E914-47DA-95CA-C5AB0DC85B11" // RFC 6455, 1.3
	opClose       = 0x8
	opPing        = 0x9
	opPong        = 0xA
	maxFrame      = 1 << 20
)

// websocket echoes every frame back until the client closes; the connection stays open as long as both sides live.
func (b *backend) websocket(w http.ResponseWriter, r *http.Request) {
	key := r.Header.Get("Sec-WebSocket-Key")
	if !strings.EqualFold(r.Header.Get("Upgrade"), "websocket") || key == "" {
		http.Error(w, "not a WebSocket handshake", http.StatusUpgradeRequired)
		return
	}
	conn, stream, err := http.NewResponseController(w).Hijack()
	if err != nil {
		http.Error(w, err.Error(), http.StatusInternalServerError)
		return
	}
	defer conn.Close()
	b.metrics.streams.Add(1)
	defer b.metrics.streams.Add(-1)
	digest := sha1.Sum([]byte(key + websocketGUID))
	fmt.Fprintf(stream, "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"+
		"Sec-WebSocket-Accept: %s\r\nX-Version: %s\r\nX-Pod: %s\r\n\r\n",
		base64.StdEncoding.EncodeToString(digest[:]), b.version, b.pod)
	if stream.Flush() == nil {
		echo(stream)
	}
}

func echo(stream *bufio.ReadWriter) {
	for {
		head, payload, err := readFrame(stream)
		if err != nil {
			return
		}
		op := head & 0x0f
		switch op {
		case opPing:
			head = 0x80 | opPong
		case opPong:
			continue
		}
		if writeFrame(stream, head, payload) != nil || op == opClose {
			return
		}
	}
}

// readFrame returns the first header byte (FIN and opcode) and the unmasked payload of one client frame.
func readFrame(r io.Reader) (byte, []byte, error) {
	var head [2]byte
	if _, err := io.ReadFull(r, head[:]); err != nil {
		return 0, nil, err
	}
	length := uint64(head[1] & 0x7f)
	if extended := map[uint64]int{126: 2, 127: 8}[length]; extended > 0 {
		var size [8]byte
		if _, err := io.ReadFull(r, size[8-extended:]); err != nil {
			return 0, nil, err
		}
		length = binary.BigEndian.Uint64(size[:])
	}
	if head[1]&0x80 == 0 || length > maxFrame {
		return 0, nil, errors.New("frame not masked or too long")
	}
	frame := make([]byte, 4+length)
	if _, err := io.ReadFull(r, frame); err != nil {
		return 0, nil, err
	}
	mask, payload := frame[:4], frame[4:]
	for i := range payload {
		payload[i] ^= mask[i%4]
	}
	return head[0], payload, nil
}

func writeFrame(stream *bufio.ReadWriter, head byte, payload []byte) error {
	frame := []byte{head}
	switch n := len(payload); {
	case n < 126:
		frame = append(frame, byte(n))
	case n < 1<<16:
		frame = binary.BigEndian.AppendUint16(append(frame, 126), uint16(n))
	default:
		frame = binary.BigEndian.AppendUint64(append(frame, 127), uint64(n))
	}
	if _, err := stream.Write(append(frame, payload...)); err != nil {
		return err
	}
	return stream.Flush()
}
