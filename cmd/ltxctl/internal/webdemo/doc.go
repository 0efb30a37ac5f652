// Webdemo serves the demo page of web/ with a sample replica that goes on changing: make web-demo.
package main
