package e2e

import (
	"bytes"
	"encoding/base64"
	"encoding/hex"
	"fmt"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"envrole/internal/fakerunner"
)

// Whatever a job writes arrives as it is.
func TestOutputArrivesByteForByte(t *testing.T) {
	w := newWorld(t, productionRule)
	res := w.run(w.payload("honest_production"), `printf 'utf8 \xff\xfe\xc3( end\n'; printf 'nul \0\0 end\n'; printf 'cr \r\033[31mred\033[0m end\n'
echo "[begin"; head -c 10485760 /dev/zero | tr '\0' x; echo "end]"; printf 'no newline at the end'`)
	if res.State != fakerunner.Success {
		t.Fatalf("%s %v\n%.2000s", res.State, res.Err, res.Log)
	}
	for _, want := range []string{
		"utf8 \xff\xfe\xc3( end\n", "nul \x00\x00 end\n", "cr \r\x1b[31mred\x1b[0m end\n",
		"[begin\n" + strings.Repeat("x", 10<<20) + "end]\n", "no newline at the end",
	} {
		if !strings.Contains(res.Log, want) {
			t.Errorf("the log lacks %.60q (%d bytes)", want, len(want))
			t.Log(unlike(res.Log))
		}
	}
}

// watched is a log that a test looks at while the job runs.
type watched struct {
	mu  sync.Mutex
	buf bytes.Buffer
}

func (l *watched) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.buf.Write(p)
}

func (l *watched) holds(text string) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	return strings.Contains(l.buf.String(), text)
}

// A progress bar and a prompt show although no line has ended.
func TestOutputWithoutANewlineShowsAtOnce(t *testing.T) {
	w := newWorld(t, productionRule)
	g := newGate(w, "gate")
	var log watched
	w.runner.Tee = &log
	done := make(chan fakerunner.Result, 1)
	go func() {
		done <- w.run(w.payload("honest_production"), `printf '\rprogress 42%%'; printf 'Continue? [y/N] ' >&2; `+g.wait(1))
	}()
	eventually(t, "the progress shows", func() bool { return log.holds("\rprogress 42%") && log.holds("Continue? [y/N] ") })
	g.open()
	if res := <-done; res.State != fakerunner.Success {
		t.Errorf("%s %v\n%s", res.State, res.Err, res.Log)
	}
}

// leaks lists the forms in which a text holds a secret, line breaks aside.
func leaks(text, secret string) []string {
	text = strings.NewReplacer("\n", "", "\r", "", " ", "").Replace(text)
	forms := map[string]string{
		"plain": secret, "hex": hex.EncodeToString([]byte(secret)), "HEX": strings.ToUpper(hex.EncodeToString([]byte(secret))),
		"url": url.QueryEscape(secret), "json": strings.ReplaceAll(secret, "/", `\/`), "half": secret[:len(secret)/2],
	}
	for pad := range 3 {
		// What is the same whatever stands before and after.
		b := base64.StdEncoding.EncodeToString([]byte(strings.Repeat("\x00", pad) + secret))
		forms["base64 "+itoa(pad)] = b[4 : len(b)-4]
		b = base64.URLEncoding.EncodeToString([]byte(strings.Repeat("\x00", pad) + secret))
		forms["base64url "+itoa(pad)] = b[4 : len(b)-4]
	}
	var found []string
	for name, form := range forms {
		if strings.Contains(text, form) {
			found = append(found, name)
		}
	}
	return found
}

// The session's secrets do not show in the log, however they are printed.
func TestSecretsAreMaskedHoweverTheyArePrinted(t *testing.T) {
	w := newWorld(t, productionRule)
	kept := filepath.Join(w.dir, "kept")
	prints := `for s in "$AWS_SECRET_ACCESS_KEY" "$AWS_SESSION_TOKEN"; do
printf '%s\n' "$s"
printf '%s' "$s" | base64
printf '%s' "$s" | base64 -w0; echo
printf 'x%s' "$s" | base64 -w20
printf 'xy%s' "$s" | base64 | tr '+/' '-_'
printf '%s' "$s" | od -An -v -tx1 | tr -d ' \n'; echo
printf '%s' "$s" | od -An -v -tx1 | tr -d ' \n' | fold -w 60; echo
printf '%s' "$s" | od -An -v -tx1 | tr -d ' \n' | tr a-f A-F; echo
printf '%s\n' "$s" | sed 's#+#%2B#g; s#/#%2F#g; s#=#%3D#g'
printf '{"key":"%s"}\n' "$s" | sed 's#/#\\/#g'
n=$(( ${#s} / 2 )); printf '%s' "${s:0:$n}"; printf '%s' "${s:$n}"; echo
for (( i = 0; i < ${#s}; i++ )); do printf '%s' "${s:$i:1}"; done; echo
done
echo marker
`
	payload := w.payload("honest_production")
	res := w.runner.Run(t.Context(), fakerunner.Job{Payload: payload, SubStages: []fakerunner.SubStage{
		{Name: "build_script", Script: `printf '%s %s\n' "$AWS_SECRET_ACCESS_KEY" "$AWS_SESSION_TOKEN" > ` + kept + "\n" + prints},
		{Name: "archive_cache", Script: "cat " + kept}, // a sub-stage without the session
		{Name: "after_script", Script: "cat " + kept + "; base64 " + kept + "\n" + prints},
	}})
	if res.State != fakerunner.Success || strings.Count(res.Log, "marker") != 2 {
		t.Fatalf("%s %v\n%s", res.State, res.Err, res.Log)
	}
	b, err := os.ReadFile(kept)
	if err != nil {
		t.Fatal(err)
	}
	secrets := strings.Fields(string(b))
	if len(secrets) != 2 || len(secrets[0]) != 40 || len(secrets[1]) < 100 {
		t.Fatalf("the job had other secrets than expected: %d", len(secrets))
	}
	for i, secret := range secrets {
		if found := leaks(res.Log, secret); len(found) > 0 {
			t.Errorf("secret %d shows in the log: %v", i, found)
		}
		if found := leaks(string(b), secret); len(found) == 0 {
			t.Error("the check for leaks finds nothing where there is something")
		}
	}
	if n := strings.Count(res.Log, "[MASKED]"); n < 40 {
		t.Errorf("only %d texts were masked", n)
	}
	w.settled()
}

// One half of a secret goes to stdout, the other to stderr.
func TestASecretSplitBetweenStdoutAndStderrIsMasked(t *testing.T) {
	w := newWorld(t, productionRule)
	res := w.run(w.payload("honest_production"), `s=$AWS_SECRET_ACCESS_KEY; printf '%s' "${s:0:15}"; printf '%s' "${s:15}" >&2; echo; echo "$s" >&2`)
	if res.State != fakerunner.Success || strings.Count(res.Log, "[MASKED]") != 2 {
		t.Errorf("%s %v\n%s", res.State, res.Err, res.Log)
	}
	w.noSecrets("the job's log", res.Log)
}

// unlike tells what a log of x's holds besides them.
func unlike(log string) string {
	i := strings.Index(log, "[begin")
	if i < 0 {
		return "no beginning"
	}
	rest := strings.TrimPrefix(log[i:], "[begin\n")
	n := len(rest) - len(strings.TrimLeft(rest, "x"))
	return fmt.Sprintf("after %d bytes: %.300q", n, rest[n:])
}
