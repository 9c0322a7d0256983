package mask

import (
	"bytes"
	"fmt"
	"os"
	"os/exec"
	"slices"
	"strings"
	"testing"
)

// encoders are what a job may send a secret through. Each reads it on stdin,
// with something before and after it.
var encoders = [][]string{
	{"cat"},
	{"fold", "-w", "10"},
	{"fold", "-w", "1"},
	{"base64"},
	{"base64", "-w0"},
	{"base64", "-w", "19"},
	{"openssl", "base64"},
	{"xxd", "-p"},
	{"xxd", "-p", "-u"},
	{"sh", "-c", `od -An -tx1 -v | tr -d ' \n'`},
	{"sh", "-c", `od -An -tx1 -v | tr -d ' '`},
	{"python3", "-c", "import sys, json; print(json.dumps(sys.stdin.read()))"},
	{"python3", "-c", "import sys, urllib.parse as u; print(u.quote(sys.stdin.read()))"},
	{"python3", "-c", "import sys, urllib.parse as u; print(u.quote(sys.stdin.read(), safe=''))"},
	{"python3", "-c", "import sys, urllib.parse as u; print(u.quote_plus(sys.stdin.read()))"},
	{"python3", "-c", "import sys, base64; print(base64.urlsafe_b64encode(sys.stdin.buffer.read()).decode())"},
	{"python3", "-c", "import sys, base64, json; print(json.dumps(base64.encodebytes(sys.stdin.buffer.read()).decode().replace('\\n', '')))"},
	{"python3", "-c", "import sys; print(repr(sys.stdin.buffer.read()))"},
	{"jq", "-Rs", "."},
	{"jq", "-Rrs", "@uri"},
	{"jq", "-Rrs", "@base64"},
	{"bash", "-xc", `s=$(cat); echo "$s" 2>&1; printf '%q\n' "$s"`},
}

// encoded runs a tool, or skips where it is not installed. In CI only tools
// beyond coreutils, od and bash may be missing.
func encoded(t *testing.T, tool []string, in string) []byte {
	t.Helper()
	path, err := exec.LookPath(tool[0])
	if err != nil {
		if os.Getenv("CI") == "true" && !slices.Contains([]string{"openssl", "xxd", "jq"}, tool[0]) {
			t.Fatalf("%s is needed: %v", tool[0], err)
		}
		t.Skipf("NOT TESTED with %s: %v", tool[0], err)
	}
	cmd := exec.Command(path, tool[1:]...)
	cmd.Stdin = strings.NewReader(in)
	out, err := cmd.CombinedOutput()
	if err != nil {
		t.Fatalf("%s: %v\n%s", tool, err, out)
	}
	return out
}

// TestRealToolsLeakNothing has real tools encode a key and a token, at each
// alignment, in pairs that differ in the secret alone: where what comes out of
// the filter is the same for both, it tells nothing of either.
func TestRealToolsLeakNothing(t *testing.T) {
	keys := []string{awsLike(40, 11), awsLike(40, 12), example}
	tokens := []string{awsToken(), awsToken()[:400] + awsLike(400, 13), awsLike(400, 15) + "//++////" + awsLike(392, 14)}
	for _, tool := range encoders {
		t.Run(strings.Join(tool, " "), func(t *testing.T) {
			for align := range 3 {
				var want string
				for _, i := range []int{0, 1 + align%2} {
					in := fmt.Sprintf("%s<%s> and <%s>.", "xxx"[:align], keys[i], tokens[i])
					var out bytes.Buffer
					f := newFilter(t, &out, keys[i], tokens[i])
					write(t, f, string(encoded(t, tool, in)))
					flush(t, f)
					got := traceless(out.String())
					if i == 0 {
						want = got
					}
					if len(got) != len(want) || differing(got, want) > 8 {
						t.Errorf("alignment %d: of one secret\n%q\nof another\n%q", align, want, got)
					}
					if n := f.Masked(); n < 2 {
						t.Errorf("alignment %d: %d markers in %q", align, n, out.String())
					}
				}
			}
		})
	}
}

// traceless leaves out line breaks, which wrapping puts at other places when
// the escapes before them differ.
func traceless(s string) string {
	return strings.NewReplacer("\n", "", "\r", "").Replace(s)
}

// differing counts the bytes that differ: those at both ends of two base64
// forms may, as they mix bits of the secret with its neighbours'.
func differing(a, b string) (n int) {
	for i := range a {
		if a[i] != b[i] {
			n++
		}
	}
	return n
}
