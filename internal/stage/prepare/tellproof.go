package prepare

import (
	"fmt"
	"strings"

	"envrole/internal/audit"
	"envrole/roles"
)

// provenances says in one line who vouches for which facts:
// "project_path, ref by GitLab (payload); environment by GitLab (API)".
func provenances(f roles.Facts) string {
	var order []string
	names := map[string][]string{}
	for _, v := range f.View() {
		if v.From == roles.Absent.String() {
			continue
		}
		if names[v.From] == nil {
			order = append(order, v.From)
		}
		names[v.From] = append(names[v.From], v.Name)
	}
	parts := make([]string, 0, len(order))
	for _, from := range order {
		parts = append(parts, fmt.Sprintf("%s by %s", strings.Join(names[from], ", "), from))
	}
	return strings.Join(parts, "; ")
}

// auditProofs adds who vouches for each fact, and which token and keys did. A
// token's id and the name of a key are no secrets.
func (p *preparation) auditProofs(fields audit.Fields) {
	from := map[string]string{}
	for _, v := range p.facts.View() {
		if v.From != roles.Absent.String() {
			from[v.Name] = v.From
		}
	}
	fields["facts_from"] = from
	for k, v := range p.policy {
		fields[k] = v
	}
	if t := p.proofs.token; t != nil {
		fields["id_token"], fields["id_token_key"] = t.TokenID, t.KeyID
		fields["jwks_age_s"], fields["jwks_stale"] = int(t.KeysAge.Seconds()), t.Stale
	}
}
