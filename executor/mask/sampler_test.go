package mask

import (
	"strings"
	"testing"

	"pgregory.net/rapid"
)

// TestTheSamplerKeepsItsPromise puts one occurrence anywhere between bytes that
// are in no form, and starts the search at any place before it.
func TestTheSamplerKeepsItsPromise(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		secrets := rapid.SliceOfN(rapid.Custom(drawSecret), 1, 2).Draw(t, "secrets")
		a := (&automaton{}).clone(secrets)
		a.learnAll(secrets)
		if a.sample.blind {
			t.Skip("every byte is walked over")
		}
		found := drawOccurrence(t, rapid.SampledFrom(secrets).Draw(t, "secret"))
		before := strings.Repeat("#", rapid.IntRange(0, 20).Draw(t, "before"))
		after := strings.Repeat("#", a.sample.reach)
		text := []byte(before + found + after)
		hit := a.sample.next(text, rapid.IntRange(0, len(before)).Draw(t, "from"))
		if hit == len(text) {
			t.Fatalf("step %d: %q is not found in %q", a.sample.step, found, text)
		}
		if first := a.sample.back(text, 0, hit); first > len(before) {
			t.Fatalf("reach %d: the hit at %d leads back to %d, the occurrence begins at %d", a.sample.reach, hit, first, len(before))
		}
	})
}

func TestAGramIsReadOverLineBreaks(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		text := []byte(rapid.StringOfN(rapid.SampledFrom([]rune("abcdefghijkl\t\n\r")), gram, 40, -1).Draw(t, "text"))
		step := rapid.IntRange(1, gram).Draw(t, "step")
		g, after, ok := gather(text, 0, step)
		wantG, wantAfter, wantOK := gatherSlowly(text, 0, step)
		flat := strings.NewReplacer("\n", "", "\r", "").Replace
		if ok != wantOK || ok != (len(flat(string(text))) >= gram) {
			t.Fatalf("found %v, slowly %v", ok, wantOK)
		}
		if !ok {
			return
		}
		if g != wantG || len(flat(string(text[:after]))) != step || len(flat(string(text[:wantAfter]))) != step {
			t.Fatalf("got %x and %d, slowly %x and %d", g, after, wantG, wantAfter)
		}
	})
}
