package prepare

import (
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"envrole/executor/job"
	"envrole/internal/audit"
	"envrole/internal/stage"
	"envrole/roles"
)

func TestAJobCannotFillTheAuditLogWithItsClaims(t *testing.T) {
	dir := t.TempDir()
	events, err := audit.Open(dir)
	if err != nil {
		t.Fatal(err)
	}
	defer events.Close()
	payload := &job.Payload{}
	for i := range 1000 {
		payload.Variables = append(payload.Variables, job.Variable{Key: "CI_ENVIRONMENT_NAME", Value: fmt.Sprint(i) + strings.Repeat("x", 1000)})
	}
	_, conf, _ := world(t)
	p := &preparation{call: stage.Call{Stdout: io.Discard}, conf: conf, log: events, payload: payload}
	if err := p.withoutRole(roles.Decision{Why: "why"}); err != nil {
		t.Fatal(err)
	}
	b, err := os.ReadFile(filepath.Join(dir, audit.FileName))
	if err != nil || len(b) > 4<<10 || !strings.Contains(string(b), "995 more") {
		t.Errorf("%d bytes, %v: %.200s", len(b), err, b)
	}
}
