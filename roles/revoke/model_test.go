package revoke

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"regexp"
	"slices"
	"strings"
	"sync"
	"time"

	"envrole/roles/fault"
)

// cloud is a model of IAM: it keeps policies, counts their room and evaluates
// StringLike on aws:userid as AWS does. It complains about every document that
// is not exactly a deny of named sessions.
type cloud struct {
	mu       sync.Mutex
	now      func() time.Time
	policies map[string]map[string]string // role, name: document
	gone     map[string]bool              // roles that were deleted
	limit    int
	undated  bool // answers carry no Date
	puts     int
	calls    int
	wrong    []string
	// fail is asked before each call: before is returned with nothing done,
	// after with the call done.
	fail func(call, role string) (before, after error)
}

func newCloud(now func() time.Time) *cloud {
	return &cloud{now: now, policies: map[string]map[string]string{}, gone: map[string]bool{}, limit: MaxPolicyChars}
}

func (c *cloud) connect(context.Context, string) (IAM, error) { return c, nil }

// crash is what a dying process looks like from inside: the call never returns.
type crash struct{}

func (c *cloud) do(ctx context.Context, call, role string, f func() error) (time.Time, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.calls++
	if err := ctx.Err(); err != nil {
		return time.Time{}, err
	}
	var after error
	if c.fail != nil {
		var before error
		if before, after = c.fail(call, role); before != nil {
			if errors.Is(before, errCrash) {
				panic(crash{})
			}
			if errors.Is(before, ErrAccess) { // an answer of AWS's
				return c.now(), before
			}
			return time.Time{}, before
		}
	}
	at := c.now().Truncate(time.Second)
	if c.undated {
		at = time.Time{}
	}
	if c.gone[role] {
		return at, fault.New(fault.Permanent, call, role, ErrNotFound, "")
	}
	if err := f(); err != nil {
		return at, err
	}
	if errors.Is(after, errCrash) {
		panic(crash{})
	}
	if after != nil {
		return time.Time{}, after
	}
	return at, nil
}

var (
	errCrash   = errors.New("crash")
	errTimeout = fault.New(fault.Passing, "call", "", errors.New("timeout"), "")
	errDenied  = fault.New(fault.Permanent, "call", "", ErrAccess, "")
)

func (c *cloud) PutRolePolicy(ctx context.Context, role, name, doc string) (time.Time, error) {
	return c.do(ctx, "put", role, func() error {
		c.puts++
		c.judge(name, doc)
		n := len(doc)
		for other, d := range c.policies[role] {
			if other != name {
				n += len(strings.Join(strings.Fields(d), ""))
			}
		}
		if n > c.limit {
			return fault.New(fault.Passing, "put", role, ErrLimit, "")
		}
		if c.policies[role] == nil {
			c.policies[role] = map[string]string{}
		}
		c.policies[role][name] = doc
		return nil
	})
}

func (c *cloud) DeleteRolePolicy(ctx context.Context, role, name string) error {
	_, err := c.do(ctx, "delete", role, func() error {
		if _, ok := c.policies[role][name]; !ok {
			return fault.New(fault.Permanent, "delete", role, ErrNotFound, "")
		}
		delete(c.policies[role], name)
		return nil
	})
	return err
}

func (c *cloud) ListRolePolicies(ctx context.Context, role string) (names []string, at time.Time, err error) {
	at, err = c.do(ctx, "list", role, func() error {
		for name := range c.policies[role] {
			names = append(names, name)
		}
		slices.Sort(names)
		return nil
	})
	return names, at, err
}

type policy struct {
	Version   string
	Statement []struct {
		Effect, Action, Resource string
		Condition                map[string]map[string][]string
	}
}

var (
	onlyNames    = regexp.MustCompile(`^\*:gl-[0-9]+-[a-z2-7]{13}$`)
	onlyPolicies = regexp.MustCompile(`^envrole-[a-z2-7]{13}-[0-9]{10}$`)
)

func (c *cloud) judge(name, doc string) {
	if err := soundDocument(doc); err != nil {
		c.wrong = append(c.wrong, err.Error())
	}
	if !onlyPolicies.MatchString(name) {
		c.wrong = append(c.wrong, "policy name "+name)
	}
}

// soundDocument says what is wrong with a deny policy, read independently of
// how it is made.
func soundDocument(doc string) error {
	var p policy
	d := json.NewDecoder(strings.NewReader(doc))
	d.DisallowUnknownFields()
	if err := d.Decode(&p); err != nil {
		return err
	}
	if p.Version != "2012-10-17" || len(p.Statement) != 1 {
		return fmt.Errorf("not one statement: %s", doc)
	}
	s := p.Statement[0]
	ids := s.Condition["StringLike"]["aws:userid"]
	if s.Effect != "Deny" || s.Action != "*" || s.Resource != "*" || len(s.Condition) != 1 || len(s.Condition["StringLike"]) != 1 || len(ids) == 0 {
		return fmt.Errorf("not a deny of named sessions: %s", doc)
	}
	for _, id := range ids {
		if !onlyNames.MatchString(id) {
			return fmt.Errorf("denies %q", id)
		}
	}
	return nil
}

// denied says whether AWS refuses the session.
func (c *cloud) denied(role, session string) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.gone[role] {
		return true
	}
	for name, doc := range c.policies[role] {
		if !strings.HasPrefix(name, policyPrefix) {
			continue
		}
		var p policy
		if json.Unmarshal([]byte(doc), &p) != nil {
			continue
		}
		for _, s := range p.Statement {
			for _, pattern := range s.Condition["StringLike"]["aws:userid"] {
				if like(pattern, "AROAEXAMPLEEXAMPLE:"+session) {
					return true
				}
			}
		}
	}
	return false
}

// like is StringLike: * any run, ? any one character.
func like(pattern, s string) bool {
	switch {
	case pattern == "":
		return s == ""
	case pattern[0] == '*':
		for i := range len(s) + 1 {
			if like(pattern[1:], s[i:]) {
				return true
			}
		}
		return false
	}
	return s != "" && (pattern[0] == '?' || pattern[0] == s[0]) && like(pattern[1:], s[1:])
}
