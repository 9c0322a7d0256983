package e2e

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"envrole/internal/fakerunner"
)

// A job with a user of its own is served over both ways, past the end of its
// first session, and can write nothing of what serves it.
func TestAJobWithItsOwnUserIsServedNewSessions(t *testing.T) {
	t.Parallel()
	u := jobUser(t)
	ask := map[string]string{
		"endpoint": `curl -sf -H "Authorization: $AWS_CONTAINER_AUTHORIZATION_TOKEN" "$AWS_CONTAINER_CREDENTIALS_FULL_URI"`,
		"profile":  `$(sed -n 's/^credential_process = //p' "$AWS_CONFIG_FILE")`,
	}
	// The job's user runs envrole-run, as it can where that is installed.
	if err := os.Chmod(binaries, 0o755); err != nil {
		t.Fatal(err)
	}
	for _, delivery := range []string{"endpoint", "profile"} {
		t.Run(delivery, func(t *testing.T) {
			w := shortWorld(t, `delivery = "`+delivery+`"`, sessionLife)
			w.replaceConfig(`same_user = "trusted"`, fmt.Sprintf("user = %q", u.Username))
			for _, dir := range []string{w.dir, filepath.Dir(w.dir)} {
				if err := os.Chmod(dir, 0o755); err != nil {
					t.Fatal(err)
				}
			}
			ended := w.mark("ended")
			b := w.begin(scripts(w, `
echo "as $(id -u)"
key() { answer=$(`+ask[delivery]+`) && printf %s "$answer" | grep -o 'ASIA[A-Z0-9]*'; }
one=$(key) && two=$one || exit 9
until [ "$one" != "$two" ] && [ -e "`+ended.path+`" ]; do sleep 0.1; two=$(key) || exit 9; done
echo "renewed"
if ( echo x >> "$AWS_CONFIG_FILE" || rm -f "$AWS_CONFIG_FILE" || mv "$(dirname "$AWS_CONFIG_FILE")" /tmp/x ) 2>/dev/null && [ "$AWS_CONFIG_FILE" != /dev/null ]; then echo "BROKE OUT"; fi
`+ask[delivery], "true"))
			b.outlived(2)
			ended.set()
			res := b.result()
			if res.State != fakerunner.Success || !strings.Contains(res.Log, "as "+u.Uid) || !strings.Contains(res.Log, "renewed") || strings.Contains(res.Log, "BROKE OUT") {
				t.Fatalf("%s: %v\n%s\n%s", res.State, res.Err, res.Log, res.Cleanup)
			}
			w.noSecrets("the job's log", res.Log)
			w.settled()
			w.nothingLeft()
		})
	}
}
