package job

// This file reads fields out of payload objects and promises that a field of
// another type than expected is an error that names the field, never its value.

import (
	"errors"
	"fmt"
	"math"
	"strings"

	"envrole/executor/job/strictjson"
)

const (
	required = true
	optional = false
)

// reader collects the first problem, so that parse reads like the payload.
type reader struct {
	err   error
	token string // taken out of every text

	tokens tokens // among the variables
}

// minToken is the shortest token that is looked for in texts, in bytes; GitLab's
// have 20 and more.
const minToken = 8

func (r *reader) redacted(s string) string {
	if len(r.token) < minToken {
		return s
	}
	return strings.ReplaceAll(s, r.token, "[redacted]")
}

func (r *reader) fail(key string, err error) {
	if r.err == nil {
		r.err = fmt.Errorf("%s: %w", key, err)
	}
}

func (r *reader) object(in map[string]strictjson.Value, key string) map[string]strictjson.Value {
	v := in[key]
	if !v.Present() || v.Null() {
		return nil
	}
	o, err := v.Object()
	if err != nil {
		r.fail(key, err)
	}
	return o
}

// text reads a string without the token; absent and null are "".
func (r *reader) text(in map[string]strictjson.Value, key string) string {
	return r.redacted(r.rawText(in, key))
}

func (r *reader) rawText(in map[string]strictjson.Value, key string) string {
	v := in[key]
	if !v.Present() || v.Null() {
		return ""
	}
	s, err := v.Text()
	if err != nil {
		r.fail(key, err)
	}
	return s
}

func (r *reader) texts(in map[string]strictjson.Value, key string) []string {
	v := in[key]
	if !v.Present() || v.Null() {
		return nil
	}
	list, err := v.Array()
	if err != nil {
		r.fail(key, err)
	}
	var out []string
	for _, element := range list {
		s, err := element.Text()
		if err != nil {
			r.fail(key, err)
		}
		out = append(out, r.redacted(s))
	}
	return out
}

// id reads a number that is never negative. Runners send 0 for a field that
// their GitLab does not know, so an optional 0 is an absent one.
func (r *reader) id(in map[string]strictjson.Value, key string, need bool) int64 {
	v := in[key]
	if !v.Present() || v.Null() {
		if need {
			r.fail(key, errors.New("missing"))
		}
		return 0
	}
	n, err := v.Int()
	switch {
	case err != nil:
		r.fail(key, err)
	case n < 0 || (need && n == 0) || n == math.MaxInt64:
		r.fail(key, errors.New("not a positive number"))
	}
	return n
}

func (r *reader) flag(in map[string]strictjson.Value, key string) *bool {
	v := in[key]
	if !v.Present() || v.Null() {
		return nil
	}
	b, err := v.Bool()
	if err != nil {
		r.fail(key, err)
		return nil
	}
	return &b
}

// variables reads the list of variables. A value may be null: GitLab has
// variables without a value, which older runners hand on as such.
func (r *reader) variables(top map[string]strictjson.Value) []Variable {
	const key = "variables"
	v := top[key]
	if !v.Present() || v.Null() {
		return nil
	}
	list, err := v.Array()
	if err != nil {
		r.fail(key, err)
		return nil
	}
	var vars []Variable
	for _, element := range list {
		members, err := element.Object()
		if err != nil {
			r.fail(key, err)
			return nil
		}
		r.tokens.look(r, members)
		if k := r.text(members, "key"); read(k) {
			vars = append(vars, Variable{Key: k, Value: r.text(members, "value")})
		}
	}
	return vars
}
