package fakeaws

import (
	"encoding/xml"
	"net/http"
	"time"
)

// The ordinary call: what a session tries in order to see whether it still
// works. Unlike GetCallerIdentity it can be denied.
const (
	ordinaryAction   = "s3:ListAllMyBuckets"
	ordinaryResource = "arn:aws:s3:::*"
)

type listBucketsResponse struct {
	XMLName xml.Name `xml:"ListAllMyBucketsResult"`
	NS      string   `xml:"xmlns,attr"`
	Owner   struct {
		ID string
	}
	Buckets struct {
		Bucket []bucket
	}
}

type bucket struct {
	Name         string
	CreationDate string
}

func (s *Server) listBuckets(c *call) reply {
	s.mu.Lock()
	defer s.mu.Unlock()
	if err := authorize(c.caller, ordinaryAction, ordinaryResource, ordinaryResource, c.now); err != nil {
		return reply{err: err}
	}
	out := listBucketsResponse{NS: namespaceOf("s3")}
	out.Owner.ID = c.caller.account
	created := time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC).Format(time.RFC3339)
	out.Buckets.Bucket = []bucket{{Name: "artifacts-" + c.caller.account, CreationDate: created}}
	return reply{status: http.StatusOK, body: out}
}
