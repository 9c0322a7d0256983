package mask

import (
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"net/url"
	"slices"
	"strings"
)

// This file is a second, slow filter that tries every form at every byte. Its
// forms come out of the standard library's encoders, not out of forms.go.

// refForms lists the forms of a secret of printable ASCII.
func refForms(secret string) [][][]string {
	lower := hex.EncodeToString([]byte(secret))
	forms := [][][]string{refSpell(secret), refSpell(lower), refSpell(strings.ToUpper(lower))}
	for align := range 3 {
		// What stays the same whatever stands before and after the secret.
		a := base64.StdEncoding.EncodeToString([]byte(strings.Repeat("\x00", align) + secret + "\x00\x00\x00"))
		b := base64.StdEncoding.EncodeToString([]byte(strings.Repeat("\xff", align) + secret + "\xff\xff\xff"))
		var core []byte
		for i := range min(len(a), len(b)) {
			if a[i] == b[i] && a[i] != '=' {
				core = append(core, a[i])
			}
		}
		f := refSpell(string(core))
		for i, c := range core {
			if u := strings.NewReplacer("+", "-", "/", "_").Replace(string(c)); u != string(c) {
				f[i] = append(f[i], u)
			}
		}
		forms = append(forms, f)
	}
	return forms
}

// refSpell lists for each character what encoders make of it.
func refSpell(text string) [][]string {
	var f [][]string
	for _, c := range text {
		plain, _ := json.Marshal(string(c))
		short := strings.Trim(string(plain), `"`)
		if c == '"' {
			short = `\"`
		}
		s := []string{string(c), short, url.QueryEscape(string(c)), url.PathEscape(string(c))}
		if !strings.ContainsRune("0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ", c) {
			s = append(s, fmt.Sprintf("%%%02x", c), fmt.Sprintf("%%%02X", c), fmt.Sprintf(`\u%04x`, c), fmt.Sprintf(`\u%04X`, c))
		}
		if c == '/' {
			s = append(s, `\/`)
		}
		slices.Sort(s)
		f = append(f, slices.Compact(s))
	}
	return f
}

// refMatch finds the longest occurrence of a form at the start of t (0 if
// none), and whether t ends inside one.
func refMatch(t string, form [][]string) (longest int, cut bool) {
	at := []int{0}
	for _, spellings := range form {
		var next []int
		for _, i := range at {
			for _, s := range spellings {
				j, end := refRead(t, i, s)
				cut = cut || end
				if j > 0 && !slices.Contains(next, j) {
					next = append(next, j)
				}
			}
		}
		at = next
	}
	if len(at) > 0 {
		longest = slices.Max(at)
	}
	return longest, cut
}

// refRead reads s at t[i:] over line breaks: the index after it, 0 if it is not
// there, and whether t ended first.
func refRead(t string, i int, s string) (after int, cut bool) {
	for j := range len(s) {
		gap := 0
		for i > 0 && i < len(t) && (t[i] == '\n' || t[i] == '\r') && gap < 4 {
			i, gap = i+1, gap+1
		}
		if i == len(t) {
			return 0, true
		}
		if t[i] != s[j] {
			return 0, false
		}
		i++
	}
	return i, false
}

// reference is the slow filter: the forms of its secrets.
type reference [][][]string

func newReference(secrets []string) reference {
	var forms reference
	for _, s := range secrets {
		forms = append(forms, refForms(s)...)
	}
	return forms
}

// filter is what must become of the whole stream t; held is the length of the
// end that must be held back, should the stream go on.
func (forms reference) filter(t string) (out string, markers, held int) {
	type interval struct{ from, to int }
	var found []interval
	for i := range t {
		to := 0
		for _, f := range forms {
			n, cut := refMatch(t[i:], f)
			to = max(to, n)
			if cut && held == 0 {
				held = len(t) - i
			}
		}
		if to > 0 {
			found = append(found, interval{i, i + to})
		}
	}
	if cutOff := strings.TrimRight(t[len(t)-held:], "\r\n"); len(strings.NewReplacer("\r", "", "\n", "").Replace(cutOff)) >= 8 {
		found = append(found, interval{len(t) - held, len(t) - held + len(cutOff)})
	}
	slices.SortFunc(found, func(a, b interval) int { return a.from - b.from })
	var b strings.Builder
	end := 0
	for _, v := range found {
		if markers == 0 || v.from >= end {
			b.WriteString(t[end:v.from] + "[MASKED]")
			markers++
		}
		end = max(end, v.to)
	}
	b.WriteString(t[end:])
	return b.String(), markers, held
}
