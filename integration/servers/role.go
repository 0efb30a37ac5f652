package servers

import (
	"bytes"
	"context"
	"encoding/xml"
	"fmt"
	"net/http"
	"net/url"
)

// AssumeRole returns temporary credentials that may do what policy says, in the JSON of AWS, and nothing else.
func (s S3) AssumeRole(ctx context.Context, policy string) (S3, error) {
	body := []byte(url.Values{
		"Action": {"AssumeRole"}, "Version": {"2011-06-15"}, "DurationSeconds": {"3600"}, "Policy": {policy},
	}.Encode())
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, s.Endpoint+"/", bytes.NewReader(body))
	if err != nil {
		return S3{}, err
	}
	req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	data, err := s.send(ctx, "sts", req, body)
	if err != nil {
		return S3{}, fmt.Errorf("assume role: %w", err)
	}
	var answer struct {
		Result struct {
			Credentials struct{ AccessKeyId, SecretAccessKey, SessionToken string }
		} `xml:"AssumeRoleResult"`
	}
	if err := xml.Unmarshal(data, &answer); err != nil {
		return S3{}, fmt.Errorf("assume role: %w", err)
	}
	c := answer.Result.Credentials
	s.AccessKey, s.SecretKey, s.Token = c.AccessKeyId, c.SecretAccessKey, c.SessionToken
	return s, nil
}
