package mask

import (
	"bytes"
	"fmt"
	"strings"
	"sync"
	"testing"
)

func TestUnfitSecretsAreRefusedWithoutBeingNamed(t *testing.T) {
	for _, unfit := range []string{"", "qxzqxzq", "qxzqxzqxz\nqxzqxz", "qxzqxzqxzqxzqxz\r", strings.Repeat("qxz", MaxSecret)} {
		f, err := New(nil, example, unfit)
		if err == nil || f != nil {
			t.Fatalf("a filter for %.20q", unfit)
		}
		if !strings.Contains(err.Error(), "secret 2 of 2") {
			t.Errorf("%q does not say which secret", err)
		}
		if strings.Contains(err.Error(), "qxz") || strings.Contains(err.Error(), example[:4]) {
			t.Errorf("%q shows a secret", err)
		}
	}
}

func TestARefusedAddAddsNothing(t *testing.T) {
	var out bytes.Buffer
	f := newFilter(t, &out, example)
	if err := f.Add("another secret", "short"); err == nil {
		t.Fatal("no error")
	}
	write(t, f, "another secret "+example+"\n")
	if want := "another secret [MASKED]\n"; out.String() != want {
		t.Errorf("got %q, want %q", out.String(), want)
	}
}

func TestPrintingAFilterShowsNoSecret(t *testing.T) {
	f := newFilter(t, nil, example)
	for _, verb := range []string{"%v", "%+v", "%#v", "%s", "%q", "%x", "%d"} {
		for _, v := range []any{f, struct{ F *Filter }{f}} {
			if s := fmt.Sprintf(verb, v); len(s) > 60 {
				t.Errorf("%s prints %q", verb, s)
			}
		}
	}
}

func TestAddedSecretsAreMaskedFromThenOn(t *testing.T) {
	var out bytes.Buffer
	f := newFilter(t, &out, example)
	second := awsKey()
	write(t, f, second+" "+example[:10])
	for range 2 { // the second time changes nothing
		if err := f.Add(second); err != nil {
			t.Fatal(err)
		}
	}
	write(t, f, example[10:]+" "+second+"\n")
	flush(t, f)
	if want := second + " [MASKED] [MASKED]\n"; out.String() != want {
		t.Errorf("got %q, want %q", out.String(), want)
	}
	if n := len(f.current.Load().known); n != 2 {
		t.Errorf("%d secrets are known, want 2", n)
	}
}

func TestAddAndWriteGoOnAtOnce(t *testing.T) {
	var out bytes.Buffer
	f := newFilter(t, &out, example)
	var done sync.WaitGroup
	for g := range 2 {
		done.Go(func() {
			for i := range 20 {
				if err := f.Add(awsLike(40, uint64(100*g+i))); err != nil {
					t.Error(err)
				}
				_ = f.Masked()
			}
		})
	}
	for range 200 {
		write(t, f, "x"+example[:17])
		write(t, f, example[17:]+"\n")
	}
	done.Wait()
	for g := range 2 {
		write(t, f, awsLike(40, uint64(100*g+19))+"\n")
	}
	flush(t, f)
	if want := strings.Repeat("x[MASKED]\n", 200) + "[MASKED]\n[MASKED]\n"; out.String() != want {
		t.Error("a secret was missed")
	}
	if f.Masked() != 202 {
		t.Errorf("counted %d markers, want 202", f.Masked())
	}
}
