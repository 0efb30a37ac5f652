package s3store

import "github.com/aws/aws-sdk-go-v2/service/s3"

// Client lets tests look at what the store has done.
func (s *Store) Client() *s3.Client { return s.client.Load() }

// Region is the region requests are signed for now.
func (s *Store) Region() string { return s.region() }
