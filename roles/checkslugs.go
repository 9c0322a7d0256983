package roles

import "slices"

// checkSlugs refuses placeholders that different projects can share where they
// decide what a job may do. The slugs of acme/shop-pay/api and acme/shop/pay-api
// are one and the same, so who may name a project freely could take another's
// role.
func (r *Rule) checkSlugs(p *problems) {
	for _, t := range r.Grant.texts() {
		switch t.key {
		case "role_arn", "chain", "policy", "policy_arns":
		default:
			continue
		}
		names, _ := Placeholders(t.text) // an error is reported by Grant.check
		for _, name := range names {
			r.checkSlug(p, t.key, name)
		}
	}
}

func (r *Rule) checkSlug(p *problems, key, name string) {
	part := func(s string) string { return s }
	switch name {
	case phEnvironmentSlug:
		if (key == "role_arn" || key == "chain") && slices.ContainsFunc(r.Environments, func(q Pattern) bool { return !q.Literal() }) {
			p.warnf(key, "{environment_slug} is chosen by whoever names an environment that the wildcard matches: see that every role of such a name is meant for them")
		}
		return
	case phProjectSlug, phRefSlug:
	case phNamespaceSlug:
		part = namespace
	default:
		return
	}
	free := func(q Pattern) bool { return !q.Literal() }
	switch {
	case len(r.Projects) == 0:
		// A listed project can be renamed to any path.
		p.errorf(key, "{%s} is not unique: name the projects in full in projects, or use {project_id}", name)
		return
	case slices.ContainsFunc(r.Projects, free):
		p.errorf(key, "{%s} is not unique, and projects has a wildcard: name the projects in full, or use {project_id}", name)
		return
	}
	if name == phRefSlug {
		if len(r.Refs)+len(r.TagRefs) == 0 || slices.ContainsFunc(slices.Concat(r.Refs, r.TagRefs), free) {
			p.warnf(key, "{ref_slug} is not unique: refs such as \"a/b\" and \"a-b\" share one")
		}
		return
	}
	seen := map[string]string{}
	for _, q := range r.Projects {
		whole := part(string(q))
		slug := pathSlug(whole)
		if other, ok := seen[slug]; ok && other != whole {
			p.errorf(key, "{%s} is %q for both %s and %s: use {project_id}", name, slug, quote(other), quote(whole))
			return
		}
		seen[slug] = whole
	}
}
