package fakeaws

import "strings"

// verdict is what the policies say of one action.
type verdict uint8

const (
	implicitDeny verdict = iota
	explicitDeny
	allow
)

// evaluate applies the documents: a matching Deny wins over every Allow, and
// without a matching Allow the answer is no.
func evaluate(docs []*document, action, resource string, ctx requestContext) verdict {
	result := implicitDeny
	for _, d := range docs {
		for i := range d.statements {
			s := &d.statements[i]
			if !s.applies(action, resource, ctx) {
				continue
			}
			if s.deny {
				return explicitDeny
			}
			result = allow
		}
	}
	return result
}

func (s *statement) applies(action, resource string, ctx requestContext) bool {
	if !selected(s.actions, s.notActions, strings.ToLower(action), true) ||
		!selected(s.resources, s.notResources, resource, false) {
		return false
	}
	for i := range s.conditions {
		if !s.conditions[i].holds(ctx) {
			return false
		}
	}
	return true
}

func selected(in, out []string, value string, fold bool) bool {
	list := in
	if len(in) == 0 {
		list = out
	}
	found := false
	for _, p := range list {
		if fold {
			p = strings.ToLower(p)
		}
		if wildcard(p, value) {
			found = true
			break
		}
	}
	return found == (len(in) > 0)
}

// grants turns configured permissions into a document.
func grants(list []Permission) *document {
	d := &document{}
	for _, p := range list {
		resources := p.Resources
		if len(resources) == 0 {
			resources = []string{"*"}
		}
		d.statements = append(d.statements, statement{actions: p.Actions, resources: resources})
	}
	return d
}
