package settings

import (
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"strings"
	"unicode"

	"github.com/BurntSushi/toml"

	"envrole/roles/settings/schema"
)

// maxSize is the largest configuration that is read: thousands of rules.
const maxSize = 4 << 20

// Parse reads a configuration from data; file is its name for messages. The
// result is valid and complete, or the error is Problems with everything that
// is wrong. A syntax error is reported alone: what follows it cannot be judged.
//
// Bases are the tables of the base executors that the program knows.
func Parse(file string, data []byte, bases []schema.Table) (*Settings, error) {
	if len(data) > maxSize {
		return nil, Problems{{File: file, Msg: fmt.Sprintf("larger than %d MiB", maxSize>>20)}}
	}
	found := locate(string(data))
	if found.deep > 0 {
		return nil, Problems{{File: file, Line: found.deep, Msg: fmt.Sprintf("nested more than %d levels deep", maxDepth)}}
	}
	raw, err := decode(data)
	if err != nil {
		return nil, syntaxProblems(file, err, found.repeats)
	}
	r := &reader{file: file, schema: fileSection(bases), bases: bases}
	r.problems = repeatProblems(file, found.repeats)
	s := r.settings(r.table(r.schema, raw, found.root))
	if len(r.problems) > 0 {
		return nil, r.problems.sorted()
	}
	sum := sha256.Sum256(data)
	s.digest = hex.EncodeToString(sum[:])
	s.Warnings = r.warnings.sorted()
	return s, nil
}

// decode gives the values of a TOML text. The library panics where it finds
// itself wrong; that becomes an error.
func decode(data []byte) (raw map[string]any, err error) {
	defer func() {
		if p := recover(); p != nil {
			err = fmt.Errorf("not understood: %v", p)
		}
	}()
	_, err = toml.Decode(string(data), &raw)
	return raw, err
}

// syntaxProblems words what the TOML library refused. Where it refused a key
// that is written twice, the places that locate found say more.
func syntaxProblems(file string, err error, repeats []repeat) Problems {
	var pe toml.ParseError
	if !errors.As(err, &pe) {
		return Problems{{File: file, Msg: oneLine(err.Error())}}
	}
	if len(repeats) > 0 && strings.Contains(pe.Message, "already") {
		return repeatProblems(file, repeats).sorted()
	}
	return Problems{{File: file, Line: pe.Position.Line, Key: oneLine(pe.LastKey), Msg: "not valid TOML: " + oneLine(pe.Message)}}
}

func repeatProblems(file string, repeats []repeat) Problems {
	var ps Problems
	for _, r := range repeats {
		parts := make([]string, len(r.name))
		for i, part := range r.name {
			parts[i] = quoted(part)
		}
		ps = append(ps, Problem{
			File: file, Line: r.line, Key: strings.Join(parts, "."),
			Msg: fmt.Sprintf("written twice; first on line %d", r.first),
		})
	}
	return ps
}

// oneLine keeps a foreign text on one line and free of what cannot be seen: a
// part of the file may be quoted in it.
func oneLine(s string) string {
	seen := func(r rune) rune {
		if !unicode.IsPrint(r) {
			return unicode.ReplacementChar
		}
		return r
	}
	return strings.Map(seen, strings.Join(strings.Fields(s), " "))
}

// settings turns the file's tables into Settings. It is called for a bad file
// too, so that problems between keys are found together with the others.
func (r *reader) settings(t *table) *Settings {
	gitlab, aws, session := t.tables["gitlab"], t.tables["aws"], t.tables["session"]
	s := &Settings{
		File: r.file,
		GitLab: GitLab{
			URL:                strings.TrimRight(gitlab.text("url"), "/"),
			Proof:              gitlab.text("proof"),
			CAFile:             gitlab.text("ca_file"),
			LegacyRefProtected: gitlab.flag("legacy_ref_protected"),
			Timeout:            gitlab.length("timeout"),
			Audience:           gitlab.text("audience"),
			JWKSMaxAge:         gitlab.length("jwks_max_age"),
			JWKSStale:          gitlab.length("jwks_stale"),
		},
		AWS:        AWS{Region: aws.text("region"), Timeout: aws.length("timeout")},
		State:      State{Dir: t.tables["state"].path("dir")},
		Session:    Session{Enabled: session.flag("enabled")},
		Revocation: revocation(t.tables["revocation"]),
		Policy:     policyOf(t.tables["policy"]),
	}
	checkAudienceIsOwn(s.GitLab, gitlab)
	s.Executor = r.executor(t.tables["executor"], len(t.rules) > 0)
	r.rules(s, t)
	r.warn(s, t)
	return s
}

func revocation(t *table) Revocation {
	v := Revocation{
		Identity:   t.text("identity"),
		RoleARN:    t.text("role_arn"),
		ExternalID: t.text("external_id"),
		Timeout:    t.length("timeout"),
	}
	if v.Identity == IdentityRunner {
		for _, key := range []string{"role_arn", "external_id"} {
			if t.given(key) {
				t.problem(key, t.place.key(key), `has no meaning with identity = "runner": the runner's own identity assumes no role; remove one of the two`)
			}
		}
		v.RoleARN = ""
	}
	return v
}
