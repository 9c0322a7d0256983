// Package strictjson takes JSON apart without guessing: keys match exactly, a
// key given twice in one object is an error, and a value of another type than
// the one asked for is an error. encoding/json alone ignores the case of keys
// and lets the last of two equal keys win, so two readers of one text could
// understand it differently.
//
// No error repeats any part of the input: it may hold a token.
package strictjson

import (
	"bytes"
	"encoding/json"
	"errors"
	"strconv"
)

// The ways in which a text is not what was asked for.
var (
	ErrSyntax    = errors.New("not valid JSON")
	ErrObject    = errors.New("not a JSON object")
	ErrArray     = errors.New("not a JSON array")
	ErrString    = errors.New("not a string")
	ErrInteger   = errors.New("not an integer")
	ErrBool      = errors.New("not true or false")
	ErrDuplicate = errors.New("the same key stands twice in one object")
)

// Value is one JSON value, not yet looked into. The zero Value is an absent one.
type Value []byte

// Present says whether there is a value, null included.
func (v Value) Present() bool { return len(v) > 0 }

// Null says whether the value is the literal null.
func (v Value) Null() bool { return string(bytes.Trim(v, space)) == "null" }

// Object gives the members of v by their exact keys. Nested objects are checked
// when they are taken apart in turn.
func (v Value) Object() (map[string]Value, error) {
	parts, err := v.parts('{', ErrObject)
	if err != nil {
		return nil, err
	}
	members := make(map[string]Value, len(parts)/2)
	for i := 0; i+1 < len(parts); i += 2 {
		key, err := parts[i].Text()
		if err != nil {
			return nil, err
		}
		if _, twice := members[key]; twice {
			return nil, ErrDuplicate
		}
		members[key] = parts[i+1]
	}
	return members, nil
}

// Array gives the elements of v in order.
func (v Value) Array() ([]Value, error) { return v.parts('[', ErrArray) }

// Text gives a JSON string's text.
func (v Value) Text() (string, error) {
	trimmed := bytes.Trim(v, space)
	if len(trimmed) == 0 || trimmed[0] != '"' {
		return "", ErrString
	}
	var s string
	if err := json.Unmarshal(trimmed, &s); err != nil {
		return "", ErrSyntax
	}
	return s, nil
}

// Int gives a JSON number written as a plain integer: 7, not 7.0, 7e0 or "7".
func (v Value) Int() (int64, error) {
	trimmed := bytes.Trim(v, space)
	if !json.Valid(trimmed) {
		return 0, ErrInteger
	}
	n, err := strconv.ParseInt(string(trimmed), 10, 64)
	if err != nil {
		return 0, ErrInteger
	}
	return n, nil
}

// Bool gives a JSON true or false.
func (v Value) Bool() (bool, error) {
	switch string(bytes.Trim(v, space)) {
	case "true":
		return true, nil
	case "false":
		return false, nil
	}
	return false, ErrBool
}
