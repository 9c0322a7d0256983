package handover

import (
	"bytes"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"testing"
	"time"

	"envrole/roles/seal"
)

func state() State {
	return State{JobID: 7, Deadline: time.Unix(2e9, 0).UTC(), Session: &Session{
		AccessKeyID: "ASIAEXAMPLE", SecretAccessKey: "top+secret/key", SessionToken: "tok==en", Environment: "production",
		Expiration: time.Date(2026, 11, 22, 21, 0, 0, 5e8, time.FixedZone("CET", 3600)), Region: "eu-central-1",
	}}
}

func TestOnlyTheKeyAndTheLeaseOpenIt(t *testing.T) {
	key, err := seal.NewKey()
	if err != nil {
		t.Fatal(err)
	}
	blob, err := Seal(key, "lease-a", state())
	if err != nil {
		t.Fatal(err)
	}
	if strings.Contains(string(blob), "secret") || strings.Contains(string(blob), "production") {
		t.Error("the blob shows its content")
	}
	got, err := Open(key, "lease-a", blob)
	if err != nil || got.Session == nil || got.Session.SecretAccessKey != "top+secret/key" || got.JobID != 7 {
		t.Fatalf("round trip: %v", err)
	}
	other, err := seal.NewKey()
	if err != nil {
		t.Fatal(err)
	}
	for what, open := range map[string]func() error{
		"another key":   func() error { _, err := Open(other, "lease-a", blob); return err },
		"another lease": func() error { _, err := Open(key, "lease-b", blob); return err },
		"a cut blob":    func() error { _, err := Open(key, "lease-a", blob[:len(blob)-1]); return err },
		"nothing":       func() error { _, err := Open(key, "lease-a", nil); return err },
	} {
		if err := open(); !errors.Is(err, seal.ErrOpen) {
			t.Errorf("%s: %v", what, err)
		}
	}
}

func TestANewerFormatIsNotMisread(t *testing.T) {
	key, err := seal.NewKey()
	if err != nil {
		t.Fatal(err)
	}
	blob, err := key.Seal([]byte(`{"version":3,"job_id":7}`), "lease-a")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := Open(key, "lease-a", blob); !errors.Is(err, seal.ErrVersion) {
		t.Errorf("got %v", err)
	}
}

func TestTheStateOfAnOlderVersionIsRead(t *testing.T) {
	key, err := seal.NewKey()
	if err != nil {
		t.Fatal(err)
	}
	blob, err := key.Seal([]byte(`{"version":1,"job_id":7,"shell":{"user":"ci-job"}}`), "lease-a")
	if err != nil {
		t.Fatal(err)
	}
	got, err := Open(key, "lease-a", blob)
	if err != nil || got.JobID != 7 || got.Base != "shell" || string(got.Plan) != `{"user":"ci-job"}` {
		t.Errorf("got %+v, %v", got, err)
	}
}

func TestASessionPrintsNothing(t *testing.T) {
	s := state()
	for _, verb := range []string{"%v", "%+v", "%#v", "%s", "%q", "%x", "%d"} {
		for _, text := range []string{fmt.Sprintf(verb, *s.Session), fmt.Sprintf(verb, s.Session), fmt.Sprintf(verb, s)} {
			if strings.Contains(text, "secret") || strings.Contains(text, "tok==en") || strings.Contains(text, "746f6b") {
				t.Errorf("%s prints %s", verb, text)
			}
		}
	}
	var out bytes.Buffer
	slog.New(slog.NewJSONHandler(&out, nil)).Info("x", "s", *s.Session, "p", s.Session)
	if strings.Contains(out.String(), "secret") || strings.Contains(out.String(), "tok==en") {
		t.Errorf("a JSON log shows %s", &out)
	}
}
