"""What serving costs beside the runtime alone and beside other servers, on the same processors."""
