package fakeaws

import (
	"encoding/xml"
	"net/http"
)

type metadata struct {
	RequestID string `xml:"RequestId"`
}

type callerIdentity struct {
	XMLName xml.Name `xml:"GetCallerIdentityResponse"`
	NS      string   `xml:"xmlns,attr"`
	Result  struct {
		Arn     string
		UserID  string `xml:"UserId"`
		Account string
	} `xml:"GetCallerIdentityResult"`
	Metadata metadata `xml:"ResponseMetadata"`
}

// getCallerIdentity answers everybody whose signature holds: no policy can deny
// it, so it proves nothing about a revocation.
func getCallerIdentity(c *call) reply {
	out := callerIdentity{NS: namespaceOf("sts"), Metadata: metadata{c.id}}
	out.Result.Arn, out.Result.UserID, out.Result.Account = c.caller.arn, c.caller.userID, c.caller.account
	return reply{status: http.StatusOK, body: out}
}
