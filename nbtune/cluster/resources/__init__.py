"""What a cluster has, what of it is free, and which storage its nodes share."""
