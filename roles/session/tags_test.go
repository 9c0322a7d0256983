package session

import (
	"fmt"
	"regexp"
	"strings"
	"testing"
	"unicode/utf8"

	"pgregory.net/rapid"

	"envrole/roles"
	"envrole/roles/fault"
)

// awsTagText is AWS's own pattern for keys and values.
var awsTagText = regexp.MustCompile(`^[\p{L}\p{Z}\p{N}_.:/=+\-@]*$`)

func TestTagsSayWhatIsKnownOfTheJob(t *testing.T) {
	tags, err := Tags(facts())
	if err != nil {
		t.Fatal(err)
	}
	want := map[string]string{
		"envrole:environment": "production/eu", "envrole:project": "acme/shop/web", "envrole:ref": "release/1.0",
		"envrole:ref_type": "branch", "envrole:ref_protected": "true", "envrole:tier": "production", "envrole:user": "dana",
		"envrole:project_id": "42", "envrole:pipeline_id": "815", "envrole:job_id": "4711",
	}
	for _, tag := range tags {
		if want[tag.Key] != tag.Value {
			t.Errorf("%s = %q, want %q", tag.Key, tag.Value, want[tag.Key])
		}
		delete(want, tag.Key)
	}
	if len(want) > 0 {
		t.Errorf("missing: %v", want)
	}
}

func TestAnUnknownFactGivesNoTag(t *testing.T) {
	tags, err := Tags(roles.Facts{Environment: roles.Fact{Value: "production", From: roles.Unverified}, Tier: roles.Fact{Value: "forged"}})
	if err != nil {
		t.Fatal(err)
	}
	if len(tags) != 2 || tags[0].Key != TagEnvironment || tags[1].Key != TagRefProtected || tags[1].Value != "false" {
		t.Errorf("tags %v", tags)
	}
}

func TestABranchATagAndAMergeRequestOfOneNameDiffer(t *testing.T) {
	for want, edit := range map[string]func(*roles.Facts){
		"branch":        func(*roles.Facts) {},
		"tag":           func(f *roles.Facts) { f.Tag = true },
		"merge_request": func(f *roles.Facts) { f.MergeRequest = true },
	} {
		f := facts()
		edit(&f)
		tags, err := Tags(f)
		if err != nil || !hasTag(tags, Tag{TagRefType, want, true}) {
			t.Errorf("%s: %v, error %v", want, tags, err)
		}
	}
	f := facts()
	f.Ref.Value = "refs/merge-requests/1/head"
	if tags, err := Tags(f); err != nil || !hasTag(tags, Tag{TagRefType, "merge_request", true}) {
		t.Errorf("%v, error %v", tags, err)
	}
}

func hasTag(tags []Tag, want Tag) bool {
	for _, tag := range tags {
		if tag == want {
			return true
		}
	}
	return false
}

func TestEnvironmentProjectAndRefAreExactOrTheJobIsRefused(t *testing.T) {
	set := map[string]func(*roles.Facts, string){
		"environment": func(f *roles.Facts, v string) { f.Environment.Value = v },
		"project":     func(f *roles.Facts, v string) { f.ProjectPath.Value = v },
		"ref":         func(f *roles.Facts, v string) { f.Ref.Value = v },
	}
	for what, edit := range set {
		for _, bad := range []string{
			"", "feature#1", "a,b", "$CI_JOB_NAME", "{x}", "a*", "a?", "a!b", "a\nb", "a\x00b", "a\u200bb", "a\xffb", "\ufffd",
			strings.Repeat("a", 257), strings.Repeat("#", 9999), strings.Repeat("𝒳", 129), "aws:production", "AWS:x",
		} {
			f := facts()
			edit(&f, bad)
			tags, err := Tags(f)
			if err == nil || fault.ClassOf(err) != fault.Refused || tags != nil {
				t.Errorf("%s %q: tags %v, error %v", what, bad, tags, err)
				continue
			}
			if strings.ContainsAny(err.Error(), "\n\x00") || !utf8.ValidString(err.Error()) || len(err.Error()) > 400 || !strings.Contains(err.Error(), what) {
				t.Errorf("%s %q: error %q", what, bad, err)
			}
		}
		for _, good := range []string{"a", "release/1.0", "prod eu", "größe", "本番", "a_b.c:d/e=f+g-h@i", strings.Repeat("a", 256)} {
			f := facts()
			edit(&f, good)
			if tags, err := Tags(f); err != nil || !hasTag(tags, Tag{TagPrefix + what, good, true}) {
				t.Errorf("%s %q: tags %v, error %v", what, good, tags, err)
			}
		}
	}
}

func TestAJobWithoutAnEnvironmentGetsNoTags(t *testing.T) {
	f := facts()
	f.Environment = roles.Fact{Value: "production"}
	if _, err := Tags(f); fault.ClassOf(err) != fault.Refused {
		t.Errorf("error %v", err)
	}
}

func TestWhateverAnAuthorWritesTheTagsAreAWSsOrNone(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		text := rapid.OneOf(rapid.String(), rapid.StringN(0, 400, -1), rapid.StringMatching(`(?i)(aws:)?[a-z#/ $]{0,300}`),
			rapid.Map(rapid.SliceOf(rapid.Byte()), func(b []byte) string { return string(b) }))
		fact := func(label string) roles.Fact { return roles.Fact{Value: text.Draw(t, label), From: roles.Payload} }
		f := facts()
		f.Environment, f.ProjectPath, f.Ref, f.Tier, f.UserLogin = fact("environment"), fact("project"), fact("ref"), fact("tier"), fact("user")
		tags, err := Tags(f)
		if err != nil {
			f = facts()
			f.Tier, f.UserLogin = fact("tier"), fact("user")
			if tags, err = Tags(f); err != nil {
				t.Fatalf("a fact that is not exact refuses the job: %v", err)
			}
		}
		for _, tag := range tags {
			if !awsTagText.MatchString(tag.Value) || tagLen(tag.Value) > 256 || hasPrefixFold(tag.Value, "aws:") {
				t.Fatalf("AWS does not take %s = %q", tag.Key, tag.Value)
			}
		}
		if !hasTag(tags, Tag{TagEnvironment, f.Environment.Value, true}) || !hasTag(tags, Tag{TagRef, f.Ref.Value, true}) ||
			!hasTag(tags, Tag{TagProject, f.ProjectPath.Value, true}) {
			t.Fatalf("not exact: %v", tags)
		}
	})
}

func TestARulesTagsAreCheckedAsAWSWould(t *testing.T) {
	many := map[string]string{}
	for i := range 41 {
		many[fmt.Sprintf("key%d", i)] = "x"
	}
	for _, tt := range []struct {
		name       string
		tags       map[string]string
		transitive []string
		class      fault.Class
	}{
		{"ours", map[string]string{"envrole:environment": "production"}, nil, fault.Permanent},
		{"ours in capitals", map[string]string{"EnvRole:Environment": "production"}, nil, fault.Permanent},
		{"one that we might have later", map[string]string{"envrole:later": "x"}, nil, fault.Permanent},
		{"one that we might have later, in capitals", map[string]string{"ENVROLE:LATER": "x"}, nil, fault.Permanent},
		{"AWS's", map[string]string{"aws:x": "x"}, nil, fault.Permanent},
		{"the same without case", map[string]string{"Team": "a", "team": "b"}, nil, fault.Permanent},
		{"no key", map[string]string{"": "x"}, nil, fault.Permanent},
		{"bad key", map[string]string{"a,b": "x"}, nil, fault.Permanent},
		{"long key", map[string]string{strings.Repeat("k", 129): "x"}, nil, fault.Permanent},
		{"too many", many, nil, fault.Permanent},
		{"bad value", map[string]string{"team": "a,b"}, nil, fault.Refused},
		{"long value", map[string]string{"team": strings.Repeat("v", 257)}, nil, fault.Refused},
		{"unknown transitive key", map[string]string{"team": "a"}, []string{"other"}, fault.Permanent},
	} {
		t.Run(tt.name, func(t *testing.T) {
			cleanEnv(t)
			userKeys(t)
			srv := newSTS(t, lends)
			_, err := srv.base(t).Lend(t.Context(), request(t, func(g *roles.Grant) { g.Tags, g.TransitiveTags = tt.tags, tt.transitive }))
			if err == nil || fault.ClassOf(err) != tt.class || len(srv.seen()) != 0 {
				t.Errorf("%v of class %s, %d calls", err, fault.ClassOf(err), len(srv.seen()))
			}
		})
	}
}

func TestARuleMayTagWithAnEmptyValueAndPassOnEnvRolesOwnTags(t *testing.T) {
	cleanEnv(t)
	userKeys(t)
	srv := newSTS(t, lends)
	_, err := srv.base(t).Lend(t.Context(), request(t, func(g *roles.Grant) {
		g.Tags = map[string]string{"team": ""}
		g.TransitiveTags = []string{"team", TagEnvironment}
	}))
	if err != nil {
		t.Fatal(err)
	}
	c := srv.seen()[0]
	if _, values := c.tags(); c.get("TransitiveTagKeys.member.2") != TagEnvironment || values["team"] != "" {
		t.Errorf("call %v", c.form)
	}
}
