package settings

import (
	"errors"
	"strings"
	"testing"
)

// good is the smallest configuration that lends a role, eleven lines long.
const good = `[gitlab]
url = "https://gitlab.example.com"
[aws]
region = "eu-central-1"
[executor.shell]
user = "ci-job"
[[role]]
name = "deploys"
environments = ["production"]
projects = ["acme/shop/web"]
role_arn = "arn:aws:iam::111122223333:role/deploy"
`

// head and rule are the parts of good, to be built upon: six lines and five.
var (
	head, _, _ = strings.Cut(good, "[[role]]")
	rule       = strings.TrimPrefix(good, head)
)

func with(key, line string) string {
	lines := strings.Split(good, "\n")
	for i, l := range lines {
		if strings.HasPrefix(l, key) {
			lines[i] = line
		}
	}
	return strings.Join(lines, "\n")
}

func TestBadFileGivesEachProblemWithItsLineAndKey(t *testing.T) {
	for name, c := range map[string]struct {
		text string
		want string // one problem a line; a prefix of it is enough where it ends in ...
	}{
		"empty file": {"", "f: aws.region: missing; it has no default\nf: gitlab.url: missing; it has no default"},
		"missing key in a table that is there": {
			"\n[gitlab]\nproof = \"api\"\n[aws]\nregion = \"eu-west-1\"\n", "f:2: gitlab.url: missing; it has no default",
		},
		"syntax error": {"[gitlab]\nurl = https\n", "f:2: gitlab.url: not valid TOML: ..."},
		"open string":  {"[gitlab]\nurl = \"x\n", "f:2: gitlab.url: not valid TOML: ..."},

		"unknown key, near one":        {good + "environmnts = [\"x\"]\n", `f:12: role.environmnts: unknown key; did you mean environments? (rule "deploys")`},
		"unknown key, other case":      {good + "Jobs = [\"x\"]\n", `f:12: role.Jobs: unknown key; did you mean jobs? (rule "deploys")`},
		"unknown key of another table": {"proof = \"api\"\n" + good, `f:1: proof: unknown key; did you mean proof in [gitlab]?`},
		"unknown key, nothing near":    {good + "flavour = 1\n", `f:12: role.flavour: unknown key (rule "deploys")`},
		"unknown quoted key":           {good + "\"a b\" = 1\n", `f:12: role."a b": unknown key (rule "deploys")`},
		"unknown key with a line break cannot fake a line": {
			good + `"a\nf:1: x" = 1` + "\n", `f:12: role."a\nf:1: x": unknown key (rule "deploys")`,
		},
		"unknown key that a terminal would obey": {good + `"\u001b\u202e" = 1` + "\n", `f:12: role."\x1b\u202e": unknown key (rule "deploys")`},
		"syntax error behind such a key":         {`"a\nb\u001b" = ?`, "f:1: a b�: not valid TOML: ..."},
		"unknown table":                          {good + "[gitlb]\nurl = 1\n", `f:12: gitlb: unknown key; did you mean [gitlab]?`},
		"roles for role":                         {head + "\n\n[[roles]]\nname = 'x'\n" + rule, `f:9: roles: unknown key; did you mean [[role]]?`},
		"role, one bracket":                      {head + "[role]\nname = 'x'\n", `f:7: role: want a list of tables, not a table; write [[role]] in double brackets`},
		"role as a text":                         {"role = 'x'\n" + head, `f:1: role: want a list of tables, not a string; write [[role]] in double brackets`},
		"a table as a text":                      {"executor = 1\n" + strings.Replace(good, "[executor.shell]\nuser = \"ci-job\"\n", "", 1), `f:1: executor: want a table, not a number`},

		"duplicate key":   {with("region", "region = \"eu-west-1\"\nregion = \"eu-west-2\""), "f:5: aws.region: written twice; first on line 4"},
		"duplicate table": {good + "[aws]\n", "f:12: aws: written twice; first on line 3"},
		"two duplicates": {
			good + "name = 'a'\n[aws]\n", "f:12: role.name: written twice; first on line 8\nf:13: aws: written twice; first on line 3",
		},
		"a duplicate that the TOML library takes, behind a rule with dotted tags": {
			good + "tags.a = 'x'\n" + strings.Replace(rule, "deploys", "other", 1) + "tags = 'b'\ntags = 'c'\n",
			"f:18: role.tags: want a table of strings...\nf:19: role.tags: written twice; first on line 18",
		},

		"http":               {with("url", `url = "http://gitlab.example.com"`), "f:2: gitlab.url: http is for loopback addresses only: the job token would cross the network in the clear; use https"},
		"no scheme":          {with("url", `url = "gitlab.example.com"`), "f:2: gitlab.url: not a URL..."},
		"other scheme":       {with("url", `url = "ftp://gitlab.example.com"`), "f:2: gitlab.url: the scheme must be https"},
		"password in URL":    {with("url", `url = "https://a:b@gitlab.example.com"`), "f:2: gitlab.url: must hold no user name or password..."},
		"query in URL":       {with("url", `url = "https://gitlab.example.com?a"`), "f:2: gitlab.url: must hold no query and no fragment"},
		"API path in URL":    {with("url", `url = "https://gitlab.example.com/api/v4"`), "f:2: gitlab.url: leave the API path away..."},
		"URL is a number":    {with("url", `url = 1`), "f:2: gitlab.url: want a string, not a number"},
		"empty URL":          {with("url", `url = ""`), "f:2: gitlab.url: empty; leave the key out"},
		"proof of no kind":   {with("url", "url = \"https://g.example\"\nproof = \"jwt\""), `f:3: gitlab.proof: "jwt" is not one of "api", "id_token", "unverified"`},
		"proof unknown":      {with("url", "url = \"https://g.example\"\nproof = \"none\""), `f:3: gitlab.proof: "none" is not one of "api", "id_token", "unverified"`},
		"relative ca_file":   {with("url", "url = \"https://g.example\"\nca_file = \"ca.pem\""), "f:3: gitlab.ca_file: must be an absolute path..."},
		"bad region":         {with("region", `region = "Frankfurt"`), `f:4: aws.region: not an AWS region; write one like "eu-central-1"`},
		"state dir is root":  {good + "[state]\ndir = '//'\n", "f:13: state.dir: must not be the root directory"},
		"state dir relative": {good + "[state]\ndir = 'var'\n", "f:13: state.dir: must be an absolute path..."},
		"state dir goes up":  {good + "[state]\ndir = '/var/../etc'\n", `f:13: state.dir: must not hold ".."`},
		"timeout too long":   {with("region", "region = \"eu-west-1\"\ntimeout = \"1h\""), "f:5: aws.timeout: 1h is out of bounds: at least 1s, at most 10m"},
		"duration no unit":   {with("region", "region = \"eu-west-1\"\ntimeout = \"40\""), `f:5: aws.timeout: "40" is not a duration...`},
		"duration a number":  {with("region", "region = \"eu-west-1\"\ntimeout = 40"), `f:5: aws.timeout: want a duration, not a number; write it as a string with its unit, as in "30m"`},
		"duration a part of a second": {
			with("region", "region = \"eu-west-1\"\ntimeout = \"1500ms\""), `f:5: aws.timeout: 1500ms is no whole number of seconds`,
		},
		"session too short":        {good + "[session]\nduration = \"14m\"\n", "f:13: session.duration: 14m is out of bounds: at least 15m, at most 12h"},
		"flag in quotes":           {good + "[session]\nenabled = \"false\"\n", "f:13: session.enabled: want true or false, not a string; write it without quotes"},
		"revoke unknown":           {good + "[session]\nrevoke = \"no\"\n", `f:13: session.revoke: "no" is not one of "policy", "local"`},
		"revoker no role":          {good + "[revocation]\nrole_arn = \"arn:aws:iam::1:role/x\"\n", `f:13: revocation.role_arn: ...`},
		"revoker, unknown filling": {good + "[revocation]\nrole_arn = \"arn:aws:iam::{acct}:role/x\"\n", `f:13: revocation.role_arn: ...`},
		"revoker and runner": {
			good + "[revocation]\nidentity = \"runner\"\nrole_arn = \"arn:aws:iam::{account}:role/x\"\n",
			`f:14: revocation.role_arn: has no meaning with identity = "runner"...`,
		},
		"base of no kind":    {good + "[executor]\nbase = \"kubernetes\"\n", `f:13: executor.base: "kubernetes" is not one of "shell"...`},
		"user and same_user": {with("user", "user = \"ci\"\nsame_user = \"trusted\""), "f:7: executor.shell.same_user: user gives jobs a user of their own..."},
		"same_user true":     {with("user", "same_user = true"), `f:6: executor.shell.same_user: want a string, not true or false`},
		"users and user":     {with("user", "user = \"ci\"\nusers = [\"ci-0\"]"), "f:7: executor.shell.users: user is one user for all jobs..."},
		"users, same_user":   {with("user", "users = [\"ci-0\"]\nsame_user = \"trusted\""), "f:6: executor.shell.users: users gives each job a user of its own..."},
		"a user twice":       {with("user", "users = [\"ci-0\", \"ci-1\", \"ci-0\"]"), `f:6: executor.shell.users: "ci-0" is named twice...`},
		"root among users":   {with("user", "users = [\"ci-0\", \"root\"]"), `f:6: executor.shell.users: jobs of root can read everything...`},
		"users, builds_dir":  {with("user", "users = [\"ci-0\"]\nbuilds_dir = \"/b\""), `f:7: executor.shell.builds_dir: with users nothing is shared...`},
		"users, cache_dir":   {with("user", "users = [\"ci-0\"]\ncache_dir = \"/b\""), `f:7: executor.shell.cache_dir: with users nothing is shared...`},
		"isolated, no user":  {with("user", "isolation = \"namespaces\""), `f:6: executor.shell.isolation: namespaces keep a job of another user apart...`},
		"user is root":       {with("user", "user = \"root\""), `f:6: executor.shell.user: jobs of root can read everything...`},
		"user is a number":   {with("user", "user = \"1000\""), `f:6: executor.shell.user: not a user name...`},
		"pass_env, second of several lines": {
			good + "[executor]\npass_env = [ # A\n  \"HTTPS_PROXY\",\n  \"AWS_PROFILE\",\n 3 ]\n",
			"f:15: executor.pass_env: AWS_PROFILE cannot be passed...\nf:16: executor.pass_env: want a list of strings, not a number; write it in quotes",
		},
		"text for a list":   {with("environments", `environments = "production"`), `f:9: role.environments: want a list of strings, not a string; write ["production"] (rule "deploys")`},
		"empty list":        {with("environments", `environments = []`), `f:9: role.environments: empty list; leave the key out (rule "deploys")`},
		"empty pattern":     {with("environments", "environments = [\n'a',\n'']"), `f:11: role.environments: empty; leave the key out (rule "deploys")`},
		"ids in quotes":     {good + `project_ids = ["1"]`, `f:12: role.project_ids: want a list of numbers, not a string; write it without quotes (rule "deploys")`},
		"control in a text": {good + `external_id = "ab\u0007"`, `f:12: role.external_id: holds a control character or line break (rule "deploys")`},
		"tag no text":       {good + "tags = { a = 1 }", `f:12: role.tags.a: want a string, not a number (rule "deploys")`},
		"tags a list":       {good + "tags = ['a']", `f:12: role.tags: want a table of strings, not a list; write { key = "value" } (rule "deploys")`},
		"bad ARN":           {with("role_arn", `role_arn = "arn:aws:iam::1:role/x"`), `f:11: role.role_arn: ...`},
		"no environments":   {with("environments", ""), `f:7: role.environments: ...`},
		"rule duration":     {good + "duration = '13h'\n", `f:12: role.duration: ...`},
		"rule revoke":       {good + "revoke = 'never'\n", `f:12: role.revoke: ...`},
		"rule region":       {good + "region = 'moon'\n", `f:12: role.region: ...`},
		"duplicate name":    {good + rule, `f:13: role.name: the name "deploys" is taken by rule "deploys" (line 7) (rule "deploys")`},
		"bad session default is said once": {
			good + strings.Replace(rule, "deploys", "b", 1) + "[session]\nduration = '1m'\nshadowing = 'x'\n",
			"f:18: session.duration: ...\nf:19: session.shadowing: ...",
		},
		"bad region is said once": {with("region", "region = 'x'") + "\n" + rule[:9] + "name='b'\nenvironments=['a']\nproject_ids=[1]\nrole_arn='arn:aws:iam::111122223333:role/a'\n", "f:4: aws.region: ..."},
		"inline role":             {"role = [\n {name = 'a'},\n {name = 'b',\n  environment = ['x']},\n]\n" + head, "f:2: role.environments: ...\nf:2: role.projects: ...\nf:2: role.role_arn: ...\nf:3: role.environments: ...\nf:3: role.projects: ...\nf:3: role.role_arn: ...\nf:4: role.environment: unknown key; did you mean environments? (rule \"b\")"},
		"too deep":                {"a = " + strings.Repeat("[", 5000), "f:1: nested more than 24 levels deep"},
		"too deep a name":         {"\n" + strings.Repeat("a.", 5000) + "a = 1", "f:2: nested more than 24 levels deep"},
		"UTF-16":                  {"\xff\xfe[\x00a\x00]\x00", "f:1: not valid TOML: ..."},
	} {
		t.Run(name, func(t *testing.T) {
			s, err := Parse("f", []byte(c.text), testBases())
			var ps Problems
			if !errors.As(err, &ps) || s != nil {
				t.Fatalf("Parse = %v, %v, want Problems", s, err)
			}
			got, want := strings.Split(err.Error(), "\n"), strings.Split(c.want, "\n")
			if len(got) != len(want) {
				t.Fatalf("problems:\n%s\nwant:\n%s", err, c.want)
			}
			for i := range want {
				prefix, open := strings.CutSuffix(want[i], "...")
				if got[i] != want[i] && (!open || !strings.HasPrefix(got[i], prefix)) {
					t.Errorf("problem %d:\n%s\nwant:\n%s", i, got[i], want[i])
				}
			}
		})
	}
}
