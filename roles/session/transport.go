package session

import (
	"io"
	"net/http"
	"sync/atomic"

	"github.com/aws/aws-sdk-go-v2/aws"
)

// maxAnswer bounds an STS answer in bytes. Real ones take a few kilobytes; AWS
// sets no maximum for a session token, but it must fit in an HTTP header.
const maxAnswer = 1 << 20

// bounded cuts every answer at maxAnswer, so that a broken or hostile endpoint
// cannot fill the memory. A cut answer does not parse. It notes in lost whether
// a request got something else than a refusal.
type bounded struct {
	client aws.HTTPClient
	lost   *atomic.Bool
}

func (b bounded) Do(req *http.Request) (*http.Response, error) {
	resp, err := b.client.Do(req)
	if err != nil || resp.StatusCode < http.StatusBadRequest || resp.StatusCode >= http.StatusInternalServerError {
		b.lost.Store(true)
	}
	if resp != nil && resp.Body != nil {
		resp.Body = cut{io.LimitReader(resp.Body, maxAnswer), resp.Body}
	}
	return resp, err
}

type cut struct {
	io.Reader
	io.Closer
}
