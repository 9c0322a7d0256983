package fakeaws

import (
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"regexp"
	"slices"
	"strings"
)

var sidPattern = regexp.MustCompile(`\A[0-9A-Za-z]*\z`)

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

func malformed(message string) *apiError {
	return fail(http.StatusBadRequest, "MalformedPolicyDocument", message)
}

// parseDocument reads an identity policy; whatever the evaluator cannot judge
// is an error, never silently ignored.
func parseDocument(text string) (*document, *apiError) {
	var raw struct {
		Version   string
		ID        string `json:"Id"`
		Statement statements
	}
	versions := []string{"", "2012-10-17", "2008-10-17"}
	if decodeStrict([]byte(text), &raw) != nil || !slices.Contains(versions, raw.Version) || len(raw.Statement) == 0 {
		return nil, malformed("Syntax errors in policy.")
	}
	doc := &document{}
	sids := map[string]bool{}
	for _, r := range raw.Statement {
		if !sidPattern.MatchString(r.Sid) {
			return nil, malformed("Statement IDs (SID) must be alpha-numeric. Check that your input satisfies the regular expression [0-9A-Za-z]*")
		}
		if r.Sid != "" && sids[r.Sid] {
			return nil, malformed("Statement IDs (SID) in a single policy must be unique.")
		}
		sids[r.Sid] = true
		s, err := r.compile()
		if err != nil {
			return nil, err
		}
		doc.statements = append(doc.statements, s)
	}
	return doc, nil
}

func (r *rawStatement) compile() (statement, *apiError) {
	s := statement{
		deny: r.Effect == "Deny", actions: r.Action, notActions: r.NotAction,
		resources: r.Resource, notResources: r.NotResource,
	}
	switch {
	case r.Principal != nil || r.NotPrincipal != nil:
		return s, malformed("Policy document should not specify a principal.")
	case r.Effect != "Allow" && r.Effect != "Deny", (len(r.Action) == 0) == (len(r.NotAction) == 0):
		return s, malformed("Syntax errors in policy.")
	case (len(r.Resource) == 0) == (len(r.NotResource) == 0):
		return s, malformed("Policy statement must contain resources.")
	}
	for _, a := range slices.Concat(r.Action, r.NotAction) {
		if a != "*" && !strings.Contains(a, ":") {
			return s, malformed("Actions/Conditions must be prefaced by a vendor, e.g., iam, sdb, ec2, etc.")
		}
	}
	for _, res := range slices.Concat(r.Resource, r.NotResource) {
		if _, ok := parseARN(res); !ok && res != "*" {
			return s, malformed("Resource " + res + " must be in ARN format or \"*\".")
		}
	}
	for operator, keys := range r.Condition {
		for key, values := range keys {
			c, err := newCondition(operator, key, values)
			if err != nil {
				return s, malformed("Syntax errors in policy.")
			}
			s.conditions = append(s.conditions, c)
		}
	}
	return s, nil
}
