package mask

import (
	"bytes"
	"encoding/base64"
	"strings"
	"testing"
)

// filtered is what a filter makes of the writes, and how many markers it set.
func filtered(t *testing.T, secrets []string, writes ...string) (string, int64) {
	t.Helper()
	var out bytes.Buffer
	f, err := New(&out, secrets...)
	if err != nil {
		t.Fatal(err)
	}
	for _, p := range writes {
		if n, err := f.Write([]byte(p)); n != len(p) || err != nil {
			t.Fatalf("write of %d bytes: %d, %v", len(p), n, err)
		}
	}
	if err := f.Flush(); err != nil {
		t.Fatal(err)
	}
	return out.String(), f.Masked()
}

const example = "wJalr/UtnFEMI+K7MDENG=bPxRfiCYEXAMPLEKEY"

func TestEachFormIsMasked(t *testing.T) {
	for name, tc := range map[string]struct{ in, want string }{
		"as it is":               {"a " + example + " b", "a [MASKED] b"},
		"in quotes":              {`"` + example + `"`, `"[MASKED]"`},
		"twice in a row":         {example + example, "[MASKED][MASKED]"},
		"URL, query":             {"k=wJalr%2FUtnFEMI%2BK7MDENG%3DbPxRfiCYEXAMPLEKEY&", "k=[MASKED]&"},
		"URL, lower case":        {"k=wJalr%2fUtnFEMI%2bK7MDENG%3dbPxRfiCYEXAMPLEKEY&", "k=[MASKED]&"},
		"URL, path":              {"/wJalr%2FUtnFEMI+K7MDENG=bPxRfiCYEXAMPLEKEY/", "/[MASKED]/"},
		"JSON, slash":            {`"wJalr\/UtnFEMI+K7MDENG=bPxRfiCYEXAMPLEKEY"`, `"[MASKED]"`},
		"JSON, \\u":              {`"wJalr\u002fUtnFEMI\u002BK7MDENG\u003dbPxRfiCYEXAMPLEKEY"`, `"[MASKED]"`},
		"after a stray percent":  {"100%" + example, "100%[MASKED]"},
		"after a backslash":      {`C:\` + example, `C:\[MASKED]`},
		"after its own start":    {"wJalr/Utn" + example, "wJalr/Utn[MASKED]"},
		"hex":                    {"<774a616c722f55746e46454d492b4b374d44454e473d62507852666943594558414d504c454b4559>", "<[MASKED]>"},
		"hex, upper case":        {"<774A616C722F55746E46454D492B4B374D44454E473D62507852666943594558414D504C454B4559>", "<[MASKED]>"},
		"hex, in lines":          {"<774a616c722f55746e46454d492b4b374d44454e473d625078526669\n43594558414d504c454b4559\n>", "<[MASKED]\n>"},
		"base64":                 {"d0phbHIvVXRuRkVNSStLN01ERU5HPWJQeFJmaUNZRVhBTVBMRUtFWQ==", "[MASKED]"},
		"base64 after a byte":    {"eHdKYWxyL1V0bkZFTUkrSzdNREVORz1iUHhSZmlDWUVYQU1QTEVLRVk=", "eH[MASKED]"},
		"base64, more behind":    {base64.StdEncoding.EncodeToString([]byte(example+"\xff\xff\xff")) + "=", "[MASKED]///w==="},
		"base64, URL-escaped":    {"k=d0phbHIvVXRuRkVNSStLN01ERU5HPWJQeFJmaUNZRVhBTVBMRUtFWQ%3D%3d&", "k=[MASKED]&"},
		"base64 and a line end":  {"d0phbHIvVXRuRkVNSStLN01ERU5HPWJQeFJmaUNZRVhBTVBMRUtFWQ\n==", "[MASKED]\n=="},
		"base64 after two bytes": {"eHh3SmFsci9VdG5GRU1JK0s3TURFTkc9YlB4UmZpQ1lFWEFNUExFS0VZ", "eHh[MASKED]"},
		"one character a line":   {"x" + strings.Join(strings.Split(example, ""), "\r\n") + "x", "x[MASKED]x"},
	} {
		t.Run(name, func(t *testing.T) {
			got, _ := filtered(t, []string{example}, tc.in)
			if got != tc.want {
				t.Errorf("whole: got %q, want %q", got, tc.want)
			}
			if got, _ = filtered(t, []string{example}, strings.Split(tc.in, "")...); got != tc.want {
				t.Errorf("byte by byte: got %q, want %q", got, tc.want)
			}
		})
	}
}

func TestEncodedTextThatIsEscapedAgainIsMasked(t *testing.T) {
	secret := "\xfb\xff\xbfqqqq\xfb\xff\xbf" // +/+/cXFxcfv/vw==, not ASCII
	for _, in := range []string{secret, "+/+/cXFxcfv/v", "-_-_cXFxcfv_v", "%2B%2f%2B%2FcXFxcfv%2Fv", `+\/+\/cXFxcfv\/v`, `\u002b/\u002B/cXFxcfv/v`, "%FB%FF%BFqqqq%fb%ff%bf"} {
		if got, _ := filtered(t, []string{secret}, in); got != Marker {
			t.Errorf("of %q: got %q", in, got)
		}
	}
}

func TestOverlappingOccurrencesShareAMarker(t *testing.T) {
	for _, tc := range []struct {
		secrets  []string
		in, want string
	}{
		{[]string{"abcdefghij", "ghijklmnop"}, "-abcdefghijklmnop-", "-[MASKED]-"},
		{[]string{"abcdefghijkl", "cdefghij"}, "-abcdefghijkl-", "-[MASKED]-"},
		{[]string{"abcdefghijkl", "cdefghij"}, "-abcdefghijkL-", "-ab[MASKED]kL-"},
		{[]string{"aaaaaaaa"}, strings.Repeat("a", 20), "[MASKED]"},
	} {
		got, n := filtered(t, tc.secrets, tc.in)
		bytewise, _ := filtered(t, tc.secrets, strings.Split(tc.in, "")...)
		if got != tc.want || bytewise != tc.want || n != 1 {
			t.Errorf("%v in %q: got %q (%d), byte by byte %q, want %q", tc.secrets, tc.in, got, n, bytewise, tc.want)
		}
	}
}

func TestTextWithoutSecretsPassesUnchanged(t *testing.T) {
	text := string(ordinaryLog(100_000)) + strings.Repeat("\n", 5000) + strings.Repeat("\x00\xff\r\t", 5000)
	got, n := filtered(t, []string{awsKey(), awsToken()}, text)
	if got != text || n != 0 {
		t.Errorf("%d bytes became %d, with %d markers", len(text), len(got), n)
	}
	if got, _ = filtered(t, nil, text); got != text {
		t.Error("a filter without secrets changed the text")
	}
}

func TestASecretIsFoundAtEveryPlaceOfALongWrite(t *testing.T) {
	key, token := awsKey(), awsToken()
	pad := string(ordinaryLog(300))
	for i := range 140 {
		for _, s := range []string{key, token, key[:20] + "\n" + key[20:], token[:500] + "\r\n" + token[500:]} {
			if got, _ := filtered(t, []string{key, token}, pad[:i]+"\n"+s+"\n"+pad); got != pad[:i]+"\n[MASKED]\n"+pad {
				t.Fatalf("at %d: %q", i, got)
			}
		}
	}
}
