package fakeaws

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strings"
)

// document is an identity policy as the evaluator reads it.
type document struct {
	statements []statement
}

type statement struct {
	deny         bool
	actions      []string
	notActions   []string
	resources    []string
	notResources []string
	conditions   []condition
}

// oneOrMany is a JSON string or a list of them.
type oneOrMany []string

func (o *oneOrMany) UnmarshalJSON(data []byte) error {
	var one string
	if json.Unmarshal(data, &one) == nil {
		*o = oneOrMany{one}
		return nil
	}
	var many []string
	if err := json.Unmarshal(data, &many); err != nil {
		return errors.New("neither a string nor a list of strings")
	}
	*o = many
	return nil
}

type rawStatement struct {
	Sid          string
	Effect       string
	Action       oneOrMany
	NotAction    oneOrMany
	Resource     oneOrMany
	NotResource  oneOrMany
	Condition    map[string]map[string]oneOrMany
	Principal    json.RawMessage
	NotPrincipal json.RawMessage
}

type statements []rawStatement

func (s *statements) UnmarshalJSON(data []byte) error {
	if trimmed := bytes.TrimSpace(data); len(trimmed) > 0 && trimmed[0] == '[' {
		var list []json.RawMessage
		if err := json.Unmarshal(data, &list); err != nil {
			return err
		}
		for _, item := range list {
			var one rawStatement
			if err := decodeStrict(item, &one); err != nil {
				return err
			}
			*s = append(*s, one)
		}
		return nil
	}
	var one rawStatement
	if err := decodeStrict(data, &one); err != nil {
		return err
	}
	*s = statements{one}
	return nil
}

// decodeStrict refuses unknown fields and anything after the value: a policy
// that AWS would not take must not pass here.
func decodeStrict(data []byte, into any) error {
	d := json.NewDecoder(bytes.NewReader(data))
	d.DisallowUnknownFields()
	if err := d.Decode(into); err != nil {
		return err
	}
	if _, err := d.Token(); !errors.Is(err, io.EOF) {
		return errors.New("text after the document")
	}
	return nil
}

// parseDocument reads an identity policy; whatever the evaluator cannot judge
// is an error, never silently ignored.
func parseDocument(text string) (*document, error) {
	var raw struct {
		Version   string
		ID        string `json:"Id"`
		Statement statements
	}
	if err := decodeStrict([]byte(text), &raw); err != nil {
		return nil, err
	}
	if raw.Version != "" && raw.Version != "2012-10-17" && raw.Version != "2008-10-17" {
		return nil, fmt.Errorf("unknown version %q", raw.Version)
	}
	if len(raw.Statement) == 0 {
		return nil, errors.New("no statement")
	}
	doc := &document{}
	for _, r := range raw.Statement {
		s, err := r.compile()
		if err != nil {
			return nil, err
		}
		doc.statements = append(doc.statements, s)
	}
	return doc, nil
}

func (r *rawStatement) compile() (statement, error) {
	s := statement{
		deny: r.Effect == "Deny", actions: r.Action, notActions: r.NotAction,
		resources: r.Resource, notResources: r.NotResource,
	}
	if r.Principal != nil || r.NotPrincipal != nil {
		return s, errors.New("policy document should not specify a principal")
	}
	if r.Effect != "Allow" && r.Effect != "Deny" {
		return s, fmt.Errorf("unknown effect %q", r.Effect)
	}
	if (len(r.Action) == 0) == (len(r.NotAction) == 0) {
		return s, errors.New("exactly one of Action and NotAction is needed")
	}
	if (len(r.Resource) == 0) == (len(r.NotResource) == 0) {
		return s, errors.New("exactly one of Resource and NotResource is needed")
	}
	for _, a := range append(append([]string{}, r.Action...), r.NotAction...) {
		if a != "*" && !strings.Contains(a, ":") {
			return s, fmt.Errorf("action %q has no service", a)
		}
	}
	for operator, keys := range r.Condition {
		for key, values := range keys {
			c, err := newCondition(operator, key, values)
			if err != nil {
				return s, err
			}
			s.conditions = append(s.conditions, c)
		}
	}
	return s, nil
}
