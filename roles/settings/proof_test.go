package settings

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"envrole/roles"
)

const tokenHead = "[gitlab]\nurl = \"https://gitlab.example.com\"\nproof = %q\n[aws]\nregion = \"eu-central-1\"\n[executor.shell]\nuser = \"ci\"\n"

const aRule = "[[role]]\nname = \"r\"\nenvironments = [\"production\"]\nproject_ids = [7]\nrole_arn = \"arn:aws:iam::111122223333:role/r\"\n"

func proofText(global, rule string) string {
	return strings.Replace(tokenHead, "%q", `"`+global+`"`, 1) + aRule + rule
}

func TestARulesProofMayRaiseAndNeverLower(t *testing.T) {
	order := []string{ProofUnverified, ProofAPI, ProofIDToken}
	for g, global := range order {
		for r, rule := range order {
			s, err := Parse("f", []byte(proofText(global, `proof = "`+rule+`"`)), testBases())
			switch {
			case r < g:
				if err == nil || !strings.Contains(err.Error(), "role.proof: ") || !strings.Contains(err.Error(), "never for less") {
					t.Errorf("%s under %s: %v", rule, global, err)
				}
			case err != nil || s.Rules[0].Proof != ProofOf(rule):
				t.Errorf("%s under %s: %v", rule, global, err)
			}
		}
		s, err := Parse("f", []byte(proofText(global, "")), testBases())
		if err != nil || s.Rules[0].Proof != ProofOf(global) {
			t.Errorf("%s inherited: %v", global, err)
		}
	}
	if ProofOf(ProofUnverified) >= ProofOf(ProofAPI) || ProofOf(ProofAPI) >= ProofOf(ProofIDToken) || ProofOf(ProofAPI) != roles.GitLabAPI {
		t.Error("the order of proofs")
	}
}

func TestWhatAProofCannotSayIsAnError(t *testing.T) {
	for _, c := range []struct{ global, rule, want string }{
		{"id_token", `tiers = ["production"]`, "role.tiers: an ID token repeats the author's word"},
		{"id_token", `tags = { tier = "{tier}" }`, "role.tags: an ID token repeats the author's word"},
		{"api", "proof = \"id_token\"\ntiers = [\"production\"]", ""},
		{"unverified", "proof = \"id_token\"\ntiers = [\"production\"]", "role.tiers: an ID token repeats the author's word"},
		{"unverified", "proof = \"id_token\"\ntags = { tier = \"{tier}\" }", "role.tags: an ID token repeats the author's word"},
		{"unverified", `tiers = ["production"]`, ""},
		{"api", `environment_protected = true`, `role.environment_protected: only an ID token says it`},
		{"api", `environment_protected = false`, ""},
		{"unverified", `user_access_levels = ["owner"]`, `role.user_access_levels: only an ID token says it`},
		{"api", `ci_config = ["a/b//.gitlab-ci.yml@refs/heads/main"]`, `role.ci_config: only an ID token says it`},
		{"id_token", `ci_config = ["a/b//.gitlab-ci.yml@main"]`, `role.ci_config: "a/b//.gitlab-ci.yml@main" matches no configuration`},
	} {
		_, err := Parse("f", []byte(proofText(c.global, c.rule)), testBases())
		if c.want == "" && err != nil || c.want != "" && (err == nil || !strings.Contains(err.Error(), c.want)) {
			t.Errorf("%s under %s: %v", c.rule, c.global, err)
		}
	}
}

func TestAnAudienceThatAWSCouldAcceptIsRefused(t *testing.T) {
	for audience, ok := range map[string]bool{
		"envrole": true, "https://envrole.example.com": true, "urn:envrole:prod": true,
		"sts.amazonaws.com": false, "sts.amazonaws.com.cn": false, "https://sts.AmazonAWS.com": false,
		"https://gitlab.example.com": false, "https://gitlab.example.com/": false, "": false, "a b": false, "ä": false,
		strings.Repeat("x", 256): false,
	} {
		text := strings.Replace(proofText("id_token", ""), "[aws]", `audience = "`+audience+"\"\n[aws]", 1)
		if _, err := Parse("f", []byte(text), testBases()); (err == nil) != ok {
			t.Errorf("%q: %v", audience, err)
		}
	}
}

func TestNotesSayWhatTheFileCannotSee(t *testing.T) {
	s := parsed(t, proofText("api", ""))
	if len(s.Notes()) > 0 {
		t.Errorf("%q", s.Notes())
	}
	s = parsed(t, proofText("api", `proof = "id_token"`))
	if n := s.Notes(); len(n) != 1 || !strings.Contains(n[0], `"envrole"`) || !strings.Contains(n[0], "no OIDC provider in any AWS account") {
		t.Errorf("%q", n)
	}
}

const digest = "4355a46b19d348dc2f57c046f8ef63d4538ebb936000f3c9ee954a27460dd865"

func TestPolicyIsPinned(t *testing.T) {
	for policy, want := range map[string]string{
		"command = [\"/p\"]\nsha256 = \"" + digest + `"`: "",
		`command = ["/p"]`:                                   "policy.sha256: missing",
		`sha256 = "` + digest + `"`:                          "policy.sha256: has no meaning without command",
		`timeout = "5s"`:                                     "policy.timeout: has no meaning without command", // a line that got lost must not switch it off in silence
		"command = [\"p\"]\nsha256 = \"" + digest + `"`:      "policy.command: must be an absolute path",
		"command = [\"/p\"]\nsha256 = \"" + digest[1:] + `"`: "policy.sha256: not a SHA-256 digest",
		"command = \"/p\"\nsha256 = \"" + digest + `"`:       "policy.command: want a list of strings",
		"command = []\nsha256 = \"" + digest + `"`:           "policy.command: empty list",
	} {
		_, err := Parse("f", []byte(strings.Replace(proofText("api", ""), "[aws]", "[policy]\n"+policy+"\n[aws]", 1)), testBases())
		if want == "" && err != nil || want != "" && (err == nil || !strings.Contains(err.Error(), want)) {
			t.Errorf("%s: %v", policy, err)
		}
	}
}

func TestAPolicyThatOthersCanWriteIsNotLoaded(t *testing.T) {
	dir := t.TempDir()
	program := filepath.Join(dir, "policy")
	conf := filepath.Join(dir, "config.toml")
	text := strings.Replace(proofText("api", ""), "[aws]", "[policy]\ncommand = [\""+program+"\"]\nsha256 = \""+digest+"\"\n[aws]", 1)
	if err := os.WriteFile(conf, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := Load(conf, testBases()); err == nil || !strings.Contains(err.Error(), "policy.command") {
		t.Errorf("missing: %v", err)
	}
	if err := os.WriteFile(program, nil, 0o700); err != nil {
		t.Fatal(err)
	}
	if _, err := Load(conf, testBases()); err != nil {
		t.Error(err)
	}
	if err := os.Chmod(program, 0o702); err != nil {
		t.Fatal(err)
	}
	if _, err := Load(conf, testBases()); err == nil || !strings.Contains(err.Error(), "policy.command") {
		t.Errorf("writable by others: %v", err)
	}
}
