package fakeaws

import (
	"bytes"
	"compress/flate"
	"net/http"
	"slices"
	"strconv"
	"strings"
)

// packed models AWS's packing of session policies and tags: deflated, against
// one limit. AWS's own format and limit are not published, so only the
// behaviour is the same: the percentage is in the answer, and above 100 the
// request fails. nil means that there was nothing to pack.
func (a *assumption) packed(p *principal, limit int) (*int, *apiError) {
	parts := []string{a.policy}
	parts = append(parts, a.policyARNs...)
	for _, t := range a.tags {
		parts = append(parts, t.key, t.value)
	}
	inherited := make([]string, 0, len(p.transitive))
	for key, value := range p.tags {
		if p.transitive[strings.ToLower(key)] {
			inherited = append(inherited, key+"\x00"+value)
		}
	}
	slices.Sort(inherited)
	parts = append(parts, inherited...)
	if len(parts) == 1 && a.policy == "" {
		return nil, nil
	}
	var buf bytes.Buffer
	w, _ := flate.NewWriter(&buf, flate.BestCompression) // the level is valid
	_, _ = w.Write([]byte(strings.Join(parts, "\x00")))  // a buffer takes everything
	_ = w.Close()
	percent := (buf.Len()*100 + limit - 1) / limit
	if percent <= 100 {
		return &percent, nil
	}
	message := "Packed size of session tags consumes " + strconv.Itoa(percent) + "% of allotted space."
	if a.policy != "" || len(a.policyARNs) > 0 {
		message = "Packed policy consumes " + strconv.Itoa(percent) + "% of allotted space, please use smaller policy."
	}
	return nil, fail(http.StatusBadRequest, "PackedPolicyTooLarge", message)
}
