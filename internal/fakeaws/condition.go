package fakeaws

import (
	"fmt"
	"strings"
	"time"
)

// requestContext holds the condition keys of a request, keys in lower case. An
// absent key is absent, not empty: most operators then do not match.
type requestContext map[string]string

type condition struct {
	operator string
	ifExists bool
	key      string
	values   []string
}

func newCondition(operator, key string, values []string) (condition, error) {
	base, ifExists := strings.CutSuffix(operator, "IfExists")
	c := condition{operator: base, ifExists: ifExists, key: strings.ToLower(key), values: values}
	switch base {
	case "StringEquals", "StringNotEquals", "StringLike", "StringNotLike",
		"ArnEquals", "ArnLike", "Null":
	case "DateLessThan", "DateLessThanEquals", "DateGreaterThan", "DateGreaterThanEquals":
		for _, v := range values {
			if _, err := time.Parse(time.RFC3339, v); err != nil {
				return c, fmt.Errorf("%q is no date", v)
			}
		}
	default:
		return c, fmt.Errorf("unknown condition operator %q", operator)
	}
	if len(values) == 0 {
		return c, fmt.Errorf("condition on %q has no value", key)
	}
	return c, nil
}

// holds says whether the condition is met. The values are alternatives, but for
// the negated operators, where none of them may match.
func (c *condition) holds(ctx requestContext) bool {
	have, present := ctx[c.key]
	if c.operator == "Null" {
		return strings.EqualFold(c.values[0], "true") == !present
	}
	negated := strings.HasPrefix(c.operator, "StringNot")
	if !present {
		return c.ifExists || negated
	}
	for _, want := range c.values {
		if c.compare(have, want) {
			return !negated
		}
	}
	return negated
}

func (c *condition) compare(have, want string) bool {
	switch c.operator {
	case "StringEquals", "StringNotEquals":
		return have == want
	case "StringLike", "StringNotLike", "ArnEquals", "ArnLike":
		return wildcard(want, have)
	}
	a, errA := time.Parse(time.RFC3339, have)
	b, errB := time.Parse(time.RFC3339, want)
	if errA != nil || errB != nil {
		return false
	}
	switch c.operator {
	case "DateLessThan":
		return a.Before(b)
	case "DateLessThanEquals":
		return !a.After(b)
	case "DateGreaterThan":
		return a.After(b)
	case "DateGreaterThanEquals":
		return !a.Before(b)
	}
	return false
}

// wildcard matches text against a pattern in which * is any run of characters
// and ? is any one; the whole text must match.
func wildcard(pattern, text string) bool {
	p, t := []rune(pattern), []rune(text)
	star, mark := -1, 0
	i, j := 0, 0
	for j < len(t) {
		switch {
		case i < len(p) && p[i] == '*':
			star, mark = i, j
			i++
		case i < len(p) && (p[i] == '?' || p[i] == t[j]):
			i++
			j++
		case star >= 0:
			mark++
			i, j = star+1, mark
		default:
			return false
		}
	}
	for i < len(p) && p[i] == '*' {
		i++
	}
	return i == len(p)
}
