package vend

import (
	"bytes"
	"errors"
	"strings"
)

// This file promises that a request means the same here as to every other
// reader of HTTP/1.1, or is refused: what is ambiguous, old or not needed by a
// client of this endpoint does not parse.

// The limits of a request. A genuine one is a line and a few headers, less than
// 1 KiB of them.
const (
	maxHead    = 8 << 10 // bytes of the request line and all headers
	maxHeaders = 64
)

// head is what counts of a request: its line and the few headers that the
// endpoint looks at.
type head struct {
	method string
	target string
	host   string
	token  string // Authorization
	web    bool   // with a header that only browsers send
}

var (
	errLine    = errors.New("not a line of HTTP/1.1")
	errHeader  = errors.New("not a header of HTTP/1.1")
	errVersion = errors.New("only HTTP/1.1")
	errTwice   = errors.New("a header that counts is there twice")
	errNoHost  = errors.New("no Host")
	errBody    = errors.New("a request with a body")
	errMany    = errors.New("too many headers")
)

// endOfHead is what ends the headers.
const endOfHead = "\r\n\r\n"

// parseHead reads a request up to and with the empty line after its headers.
// Lines end in CR LF, and nothing else does.
func parseHead(b []byte) (head, error) {
	text, ok := bytes.CutSuffix(b, []byte(endOfHead))
	if !ok {
		return head{}, errLine
	}
	first, rest, more := bytes.Cut(text, []byte("\r\n"))
	h, err := parseLine(string(first))
	if err != nil {
		return head{}, err
	}
	var seen seenHeaders
	for n := 0; more; n++ {
		var line []byte
		if line, rest, more = bytes.Cut(rest, []byte("\r\n")); n == maxHeaders {
			return head{}, errMany
		}
		if err := h.take(string(line), &seen); err != nil {
			return head{}, err
		}
	}
	if !seen.host {
		return head{}, errNoHost
	}
	return h, nil
}

// parseLine reads "GET /path HTTP/1.1". The target is a path, or nothing that is
// understood here: neither a whole address nor host and port nor "*".
func parseLine(line string) (head, error) {
	method, rest, _ := strings.Cut(line, " ")
	target, version, _ := strings.Cut(rest, " ")
	switch {
	case !isToken(method) || !isTarget(target):
		return head{}, errLine
	case version != "HTTP/1.1":
		return head{}, errVersion
	}
	return head{method: method, target: target}, nil
}

// seenHeaders are the headers that may be there once.
type seenHeaders struct{ host, token, length bool }

// once notes that a header is there.
func once(seen *bool) error {
	if *seen {
		return errTwice
	}
	*seen = true
	return nil
}

// take reads one header line. A line that begins with a space, which was once
// the continuation of the line before, has no name.
func (h *head) take(line string, seen *seenHeaders) error {
	name, value, ok := strings.Cut(line, ":")
	value = strings.Trim(value, " \t")
	if !ok || !isToken(name) || !isValue(value) {
		return errHeader
	}
	switch strings.ToLower(name) {
	case "host":
		h.host = value
		return once(&seen.host)
	case "authorization":
		h.token = value
		return once(&seen.token)
	case "content-length":
		if value != "0" {
			return errBody
		}
		return once(&seen.length)
	case "transfer-encoding", "trailer", "expect":
		return errBody
	case "origin", "sec-fetch-site":
		h.web = true
	}
	return nil
}

// isToken says whether s is a token of RFC 9110, as methods and names are.
func isToken(s string) bool {
	for i := range len(s) {
		c := s[i]
		alnum := '0' <= c && c <= '9' || 'a' <= c && c <= 'z' || 'A' <= c && c <= 'Z'
		if !alnum && strings.IndexByte("!#$%&'*+-.^_`|~", c) < 0 {
			return false
		}
	}
	return s != ""
}

// isTarget says whether s is a path, perhaps with a query, of visible ASCII.
func isTarget(s string) bool {
	for i := range len(s) {
		if s[i] <= ' ' || s[i] >= 0x7f {
			return false
		}
	}
	return s != "" && s[0] == '/'
}

// isValue says whether s has no control character but tabs: no lone CR or LF
// and no NUL.
func isValue(s string) bool {
	for i := range len(s) {
		if c := s[i]; c < ' ' && c != '\t' || c == 0x7f {
			return false
		}
	}
	return true
}
