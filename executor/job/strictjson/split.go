package strictjson

// This file cuts a container into its parts. It promises to look only at text
// that encoding/json found valid, which is why it needs no errors of its own:
// strings end at the first quote that is not escaped, and brackets balance.

import (
	"bytes"
	"encoding/json"
)

// parts gives the values directly inside a container, for an object keys and
// values in turn. They share v's memory.
func (v Value) parts(open byte, wrong error) ([]Value, error) {
	if !json.Valid(v) {
		return nil, ErrSyntax
	}
	rest := bytes.TrimLeft(v, space)
	if rest[0] != open {
		return nil, wrong
	}
	var parts []Value
	for rest = rest[1:]; ; {
		rest = bytes.TrimLeft(rest, space+",:")
		if rest[0] == '}' || rest[0] == ']' {
			return parts, nil
		}
		n := length(rest)
		parts = append(parts, Value(rest[:n]))
		rest = rest[n:]
	}
}

const space = " \t\r\n"

// length is how many bytes the value at the start of b takes.
func length(b []byte) int {
	switch b[0] {
	case '"':
		return stringLength(b)
	case '{', '[':
		return containerLength(b)
	}
	for i, c := range b { // a number, true, false or null
		switch c {
		case ' ', '\t', '\r', '\n', ',', '}', ']':
			return i
		}
	}
	return len(b)
}

func containerLength(b []byte) int {
	depth := 0
	for i := 0; i < len(b); i++ {
		switch b[i] {
		case '"':
			i += stringLength(b[i:]) - 1
		case '{', '[':
			depth++
		case '}', ']':
			if depth--; depth == 0 {
				return i + 1
			}
		}
	}
	return len(b)
}

// stringLength is how many bytes the string at the start of b takes, quotes included.
func stringLength(b []byte) int {
	for i := 1; i < len(b); i++ {
		switch b[i] {
		case '\\':
			i++
		case '"':
			return i + 1
		}
	}
	return len(b)
}
