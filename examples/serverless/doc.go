// Command serverless is a function that reads a replica: under AWS Lambda, or as a server.
package main
