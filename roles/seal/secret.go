// Package seal keeps secrets secret: a string type that never prints itself,
// and authenticated encryption of a job's state under the job's own key.
//
// What it guarantees: a Secret formats, marshals and logs as [redacted]; a
// sealed blob can be read or replaced only by whoever holds the job key, and
// only for the job and lease it was sealed for.
package seal

import (
	"fmt"
	"io"
	"log/slog"
)

const redacted = "[redacted]"

// Secret is a string that must not be seen. Every way of printing it prints
// [redacted]; Reveal is the only way to the value. Two secrets are not to be
// compared with ==.
//
// The value is behind a pointer because fmt does not call the methods of an
// unexported field: it would print the string of a Secret that sits in a
// private field of a struct. Of a pointer it prints the address.
type Secret struct{ value *string }

// NewSecret wraps v.
func NewSecret(v string) Secret { return Secret{value: &v} }

// Reveal gives the plain value. Call it only where the value must leave the
// program: a job's environment, the log filter, a sealed blob.
func (s Secret) Reveal() string {
	if s.value == nil {
		return ""
	}
	return *s.value
}

// Empty says whether there is no value.
func (s Secret) Empty() bool { return s.Reveal() == "" }

// String implements fmt.Stringer.
func (Secret) String() string { return redacted }

// GoString implements fmt.GoStringer.
func (Secret) GoString() string { return redacted }

// Format implements fmt.Formatter: every verb prints [redacted].
func (Secret) Format(f fmt.State, _ rune) { _, _ = io.WriteString(f, redacted) }

// MarshalText implements encoding.TextMarshaler, and through it JSON and TOML.
func (Secret) MarshalText() ([]byte, error) { return []byte(redacted), nil }

// LogValue implements slog.LogValuer.
func (Secret) LogValue() slog.Value { return slog.StringValue(redacted) }
