package fakeaws

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/xml"
	"fmt"
	"io"
	"net/http"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	v4 "github.com/aws/aws-sdk-go-v2/aws/signer/v4"
)

// Probe makes the ordinary call, S3 ListBuckets, at endpoint with credentials.
// code is "" if it was allowed, else AWS's error code ("AccessDenied",
// "ExpiredToken"); err is for what is no answer.
func Probe(ctx context.Context, endpoint string, c aws.Credentials) (code string, err error) {
	return probeAt(ctx, endpoint, c, time.Now())
}

func probeAt(ctx context.Context, endpoint string, c aws.Credentials, at time.Time) (string, error) {
	r, err := http.NewRequestWithContext(ctx, http.MethodGet, endpoint+"/?x-id=ListBuckets", nil)
	if err != nil {
		return "", fmt.Errorf("list buckets: %w", err)
	}
	sum := sha256.Sum256(nil)
	hash := hex.EncodeToString(sum[:])
	r.Header.Set(headerPayload, hash)
	if err := v4.NewSigner().SignHTTP(ctx, c, r, hash, "s3", "eu-central-1", at); err != nil {
		return "", fmt.Errorf("list buckets: sign: %w", err)
	}
	// No proxy: the endpoint is on loopback.
	client := &http.Client{Transport: &http.Transport{DisableKeepAlives: true}}
	resp, err := client.Do(r)
	if err != nil {
		return "", fmt.Errorf("list buckets: %w", err)
	}
	defer func() { _ = resp.Body.Close() }()
	if resp.StatusCode == http.StatusOK {
		return "", nil
	}
	body, err := io.ReadAll(io.LimitReader(resp.Body, maxBody))
	if err != nil {
		return "", fmt.Errorf("list buckets: %w", err)
	}
	var e s3Error
	if err := xml.Unmarshal(body, &e); err != nil {
		return "", fmt.Errorf("list buckets: status %d: %w", resp.StatusCode, err)
	}
	return e.Code, nil
}
