package main

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"io"
	"net/http"
	"os"
	"regexp"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	v4 "github.com/aws/aws-sdk-go-v2/aws/signer/v4"
)

// listBuckets makes an ordinary AWS call with the credentials in the
// environment, as the aws command would, and says how it went. Its exit code is
// 0 if AWS answered it.
func listBuckets(out io.Writer) int {
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()
	status, body, err := signedGet(ctx)
	switch {
	case err != nil:
		fmt.Fprintln(out, "no answer:", err)
		return 1
	case status != http.StatusOK:
		fmt.Fprintln(out, "refused:", element(body, "Code")+":", element(body, "Message"))
		return 1
	}
	fmt.Fprintf(out, "buckets: %d listed, as %s\n", len(regexp.MustCompile("<Bucket>").FindAllString(body, -1)), os.Getenv("AWS_ACCESS_KEY_ID"))
	return 0
}

func signedGet(ctx context.Context) (int, string, error) {
	endpoint := os.Getenv("AWS_ENDPOINT_URL")
	if endpoint == "" {
		// A job's environment has no such variable: the demo's own AWS is
		// found by the file beside the configuration.
		b, err := os.ReadFile(os.Getenv("HOME") + "/endpoint")
		if err != nil {
			return 0, "", err
		}
		endpoint = string(b)
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, endpoint+"/", nil)
	if err != nil {
		return 0, "", err
	}
	sum := sha256.Sum256(nil)
	hash := hex.EncodeToString(sum[:])
	req.Header.Set("X-Amz-Content-Sha256", hash)
	creds := aws.Credentials{
		AccessKeyID: os.Getenv("AWS_ACCESS_KEY_ID"), SecretAccessKey: os.Getenv("AWS_SECRET_ACCESS_KEY"), SessionToken: os.Getenv("AWS_SESSION_TOKEN"),
	}
	if err := v4.NewSigner().SignHTTP(ctx, creds, req, hash, "s3", "eu-central-1", time.Now()); err != nil {
		return 0, "", err
	}
	client := http.Client{}
	resp, err := client.Do(req)
	if err != nil {
		return 0, "", err
	}
	defer func() { _ = resp.Body.Close() }()
	body, err := io.ReadAll(io.LimitReader(resp.Body, 1<<20))
	return resp.StatusCode, string(body), err
}

func element(xml, name string) string {
	m := regexp.MustCompile("<" + name + ">([^<]*)</" + name + ">").FindStringSubmatch(xml)
	if m == nil {
		return ""
	}
	return m[1]
}
