package fakeaws

import (
	"encoding/xml"
	"net/http"
)

type queryError struct {
	XMLName xml.Name `xml:"ErrorResponse"`
	NS      string   `xml:"xmlns,attr"`
	Error   struct {
		Type    string
		Code    string
		Message string
	}
	RequestID string `xml:"RequestId"`
}

type s3Error struct {
	XMLName   xml.Name `xml:"Error"`
	Code      string
	Message   string
	RequestID string `xml:"RequestId"`
	HostID    string `xml:"HostId"`
}

func namespaceOf(service string) string {
	switch service {
	case "sts":
		return "https://sts.amazonaws.com/doc/" + stsVersion + "/"
	case "iam":
		return "https://iam.amazonaws.com/doc/" + iamVersion + "/"
	}
	return "http://s3.amazonaws.com/doc/2006-03-01/"
}

// write sends a reply with the headers the SDKs look at: the Date is the
// server's own clock, from which they learn their skew.
func (c *call) write(w http.ResponseWriter, a reply) {
	body := a.body
	if a.err != nil {
		body = c.errorBody(a.err)
	}
	text, err := xml.Marshal(body)
	if err != nil {
		http.Error(w, err.Error(), http.StatusInternalServerError)
		return
	}
	h := w.Header()
	h.Set("Date", c.now.UTC().Format(http.TimeFormat))
	if c.service == "s3" {
		h.Set("Content-Type", "application/xml")
		h.Set("X-Amz-Request-Id", c.id)
	} else {
		h.Set("Content-Type", "text/xml")
		h.Set("X-Amzn-Requestid", c.id)
	}
	w.WriteHeader(a.status)
	_, _ = w.Write(append([]byte(xml.Header), text...)) // the client may be gone
}

func (c *call) errorBody(e *apiError) any {
	if c.service == "s3" {
		return s3Error{Code: e.code, Message: e.message, RequestID: c.id, HostID: c.id}
	}
	q := queryError{NS: namespaceOf(c.service), RequestID: c.id}
	q.Error.Type, q.Error.Code, q.Error.Message = "Sender", e.code, e.message
	if e.status >= http.StatusInternalServerError {
		q.Error.Type = "Receiver"
	}
	return q
}
