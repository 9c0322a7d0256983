// Package mask keeps a job's secrets out of its log. A Filter is a writer that
// passes a byte stream on and puts [MASKED] in place of every secret it was
// given.
//
// What is found: each secret as it is, URL-escaped, JSON-escaped, in hex (lower
// or upper case), and in base64 (standard or URL alphabet, padded or not, at
// each of the three alignments it can have inside a longer encoded text, itself
// URL- or JSON-escaped or not); each also when line breaks fall anywhere inside
// it, as base64, xxd -p and fold make them, and however the stream is cut into
// writes. See forms.go for the exact spellings. Every byte that belongs to some
// occurrence is masked; occurrences that overlap share one marker.
//
// What is not found: anything else that a job's author does on purpose
// (reversing, encrypting, encoding twice, printing one character a line with
// words between). The filter guards against accidents; against its own author a
// job's secret is guarded by its short life. Of a base64 form the first
// character may stay when it mixes bits of the secret (4 at most) with a
// neighbour's; so may the last one where a line break stands before it.
//
// What is held back: exactly the longest end of the stream that may be the
// beginning of an occurrence. No part of a secret, however short, is printed
// when the rest follows; everything else passes at once.
//
// A Filter is for one stream. Give a job one pipe for stdout and stderr: a
// secret of which one half went to each would be whole for the reader of the
// log and whole for nobody here.
package mask

import (
	"fmt"
	"io"
	"sync"
	"sync/atomic"
)

// Marker stands in the output where a secret stood in the input.
const Marker = "[MASKED]"

// MinSecret is the length in bytes below which a value is refused as a secret:
// shorter ones turn up in ordinary text by chance.
const MinSecret = 8

// MaxSecret is the length in bytes above which a value is refused as a secret.
// The filter needs some 200 bytes of memory for each byte of a secret, and what
// it may have to hold back grows with the longest one. AWS says of session tokens
// only that their size is not fixed; those seen have less than 4 KiB.
const MaxSecret = 16 << 10

// Filter masks secrets in what is written to it. Write and Flush belong to one
// goroutine; Add, Keep and Masked may be called from any.
type Filter struct {
	adding  sync.Mutex // held while the next automaton is made
	walking sync.Mutex // held while the stream is walked over
	current atomic.Pointer[automaton]
	masked  atomic.Int64

	walker walker
	out    output
}

// New returns a filter that writes to dst and knows the given secrets. It
// refuses a secret that Add would refuse.
func New(dst io.Writer, secrets ...string) (*Filter, error) {
	f := &Filter{out: output{dst: dst}}
	f.current.Store(&automaton{})
	if err := f.Add(secrets...); err != nil {
		return nil, err
	}
	return f, nil
}

// Add makes the filter mask further secrets, besides those it knows, in all
// that is written after Add returned. A secret shorter than MinSecret or longer
// than MaxSecret bytes, or with a line break in it, is an error, and then none
// of the call is added. The error names the secret by its place among the
// arguments, never by its value.
func (f *Filter) Add(secrets ...string) error {
	if err := checkAll(secrets); err != nil {
		return err
	}
	f.adding.Lock()
	defer f.adding.Unlock()
	next := f.current.Load().clone(secrets)
	next.learnAll(secrets)
	f.current.Store(next)
	return nil
}

func checkAll(secrets []string) error {
	for i, s := range secrets {
		if err := check(s); err != nil {
			return fmt.Errorf("mask: secret %d of %d: %w", i+1, len(secrets), err)
		}
	}
	return nil
}

// Write passes p on with the secrets masked and holds back an end of it that
// may be the beginning of a secret. It does not keep p. After an error of the
// destination the filter is of no use: each further call returns that error.
func (f *Filter) Write(p []byte) (int, error) {
	if f.out.err != nil {
		return 0, f.out.err
	}
	f.walking.Lock()
	defer f.walking.Unlock()
	w := &f.walker
	w.use(f.current.Load())
	w.scan(p)
	f.masked.Add(f.out.settle(p, w.pos, w.oldest(), w.takeSpans(w.oldest())))
	if f.out.err != nil {
		return 0, f.out.err
	}
	return len(p), nil
}

// Flush ends the stream: it writes what is held back. A beginning of a secret
// of MinSecret bytes or more is masked, for the rest of it may only have been
// cut off; a shorter one is printed. What is written later is a new stream.
func (f *Filter) Flush() error {
	f.walking.Lock()
	defer f.walking.Unlock()
	w := &f.walker
	w.cutOff(MinSecret)
	f.masked.Add(f.out.settle(nil, w.pos, w.pos, w.takeSpans(w.pos)))
	return f.out.err
}

// Masked says how many markers were written so far.
func (f *Filter) Masked() int64 { return f.masked.Load() }

// Format keeps the secrets out of whatever prints a Filter.
func (f *Filter) Format(s fmt.State, _ rune) { _, _ = io.WriteString(s, "mask.Filter") }
