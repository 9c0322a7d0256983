package session

import (
	"math"
	"regexp"
	"strings"
	"testing"

	"pgregory.net/rapid"
)

func TestANewNameIsValidHoldsTheJobAndIsNeverTheSame(t *testing.T) {
	seen := map[string]bool{}
	aws := regexp.MustCompile(`^[\w+=,.@-]{2,64}$`)
	rapid.Check(t, func(t *rapid.T) {
		id := rapid.Int64Range(1, math.MaxInt64).Draw(t, "job")
		name, err := NewName(id)
		if err != nil || !ValidName(name) || !aws.MatchString(name) || seen[name] {
			t.Fatalf("name %q, error %v", name, err)
		}
		seen[name] = true
	})
	for _, id := range []int64{0, -1, math.MinInt64} {
		if name, err := NewName(id); err == nil {
			t.Errorf("job %d has the name %q", id, name)
		}
	}
}

func TestEveryCharacterOfTheAlphabetIsDrawn(t *testing.T) {
	seen := map[rune]bool{}
	for range 200 {
		name, err := NewName(1)
		if err != nil {
			t.Fatal(err)
		}
		for _, r := range name[len("gl-1-"):] {
			seen[r] = true
		}
	}
	if len(seen) != 32 {
		t.Errorf("%d different characters in 2,600, want 32", len(seen))
	}
}

func TestOnlyTheExactFormatIsAValidName(t *testing.T) {
	for _, good := range []string{jobName, "gl-1-aaaaaaaaaaaaa", "gl-9223372036854775807-2222222222222"} {
		if !ValidName(good) {
			t.Errorf("%q is refused", good)
		}
	}
	for _, bad := range []string{
		"", "*", "gl-", "gl-4711", "gl-4711-", "gl-4711-*", "gl-*-abcdefghij234", "gl-4711-abcdefghij23*", "gl-4711-abcdefghij23?",
		"gl-4711-abcdefghij23", "gl-4711-abcdefghij2345", "gl-4711-ABCDEFGHIJ234", "gl-4711-abcdefghij231", "gl-4711-abcdefghij23é",
		"gl-04711-abcdefghij234", "gl-+4711-abcdefghij234", "gl--4711-abcdefghij234", "gl-0-abcdefghij234", "gl-4_711-abcdefghij234",
		"gl-9223372036854775808-abcdefghij234", "GL-4711-abcdefghij234", " " + jobName, jobName + "\n", "x" + jobName,
		"gl-4711-abcdefghij234-abcdefghij234", "gl-4711-${aws:userid}",
	} {
		if ValidName(bad) {
			t.Errorf("%q is taken for a session name", bad)
		}
	}
}

func TestNoTextWithAWildcardIsAValidName(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		s := rapid.OneOf(rapid.String(), rapid.StringMatching(`gl-[0-9*?]{1,6}-[a-z2-7*?$]{13}`)).Draw(t, "name")
		if ValidName(s) && strings.ContainsAny(s, "*?${}\"'\\ \n") {
			t.Fatalf("%q is valid", s)
		}
	})
}
